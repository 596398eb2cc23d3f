# SPDX-License-Identifier: GPL-2.0
s/, faults [0-9]+$//
