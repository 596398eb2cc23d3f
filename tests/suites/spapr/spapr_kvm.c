// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that maps what it likes in a window of VFIO's: KVM handles its H_PUT_TCE in the table of the container, which
 * has to find in it, and count, what KVM has put there. All of it has to be the same as on the C modules.
 *
 *   spapr_kvm BDF
 *
 * The guest is a few instructions: it asks us what to call, calls that, and tells what was answered.
 */
#include "spapr.h"

#include <linux/kvm.h>

#define H_PUT_TCE 0x20
#define H_STUFF_TCE 0x138
/* None of the hypervisor's: it is left to us. */
#define H_ASK 0xf0f0
#define LIOBN 0x80000001

/* The guest's memory is `buffer`; what it does is at this place there. */
#define CODE 0x1000

static const uint32_t code[] = {
	0x38600000,			/* li	r3, 0 */
	0x60630000 | H_ASK,		/* ori	r3, r3, H_ASK */
	0x44000022,			/* sc	1: r3 to r6 are what to call */
	0x44000022,			/* sc	1 */
	0x7c641b78,			/* mr	r4, r3 */
	0x4bffffec,			/* b	-20 */
};

static int vm, vcpu, vfio;
static struct kvm_run *run;

/* Lets the guest go on until it asks; what it was answered. */
static long until_it_asks(void)
{
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0))
			fail("KVM_RUN");
		if (run->exit_reason != KVM_EXIT_PAPR_HCALL)
			fail("the guest ends with reason %u", run->exit_reason);
		if (run->papr_hcall.nr == H_ASK)
			return run->papr_hcall.args[0];
		printf("KVM leaves %#llx to user space: ", (unsigned long long)run->papr_hcall.nr);
		run->papr_hcall.ret = -1;
	}
}

static void hcall(const char *what, uint64_t nr, uint64_t ioba, uint64_t tce, uint64_t pages)
{
	run->papr_hcall.ret = nr;
	run->papr_hcall.args[0] = LIOBN;
	run->papr_hcall.args[1] = ioba;
	run->papr_hcall.args[2] = tce;
	run->papr_hcall.args[3] = pages;
	printf("%s at %#llx, %#llx: ", what, (unsigned long long)ioba, (unsigned long long)tce);
	printf("%ld\n", until_it_asks());
}

static void put(uint64_t ioba, uint64_t tce)
{
	hcall("H_PUT_TCE", H_PUT_TCE, ioba, tce, 0);
}

static void make_guest(void)
{
	struct kvm_userspace_memory_region memory = {
		.memory_size = 64 * P, .userspace_addr = (uint64_t)buffer,
	};
	struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };
	struct kvm_enable_cap stuff = { .cap = KVM_CAP_PPC_ENABLE_HCALL, .args = { H_STUFF_TCE, 1 } };
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_regs regs = {
		.pc = CODE,
		.msr = 1ULL << 63 | 1 << 12 | 1, /* 64 bits, machine checks, little-endian; real mode */
	};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), size;

	if (kvm < 0)
		fail("/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		fail("KVM_CREATE_VM");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (vcpu < 0 || run == MAP_FAILED)
		fail("a processor");
	memcpy(buffer + CODE, code, sizeof(code));
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory) || ioctl(vcpu, KVM_ENABLE_CAP, &papr) ||
	    ioctl(vm, KVM_ENABLE_CAP, &stuff) || ioctl(vcpu, KVM_SET_REGS, &regs) ||
	    ioctl(vm, KVM_CREATE_DEVICE, &device))
		fail("a guest");
	vfio = device.fd;
	close(kvm);
	until_it_asks();
}

static int file(unsigned int attribute, void *argument)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_FILE, .attr = attribute, .addr = (uint64_t)argument,
	};

	return ioctl(vfio, KVM_SET_DEVICE_ATTR, &attr);
}

/* The guest's table, which has pages of 64 KiB. */
static int table(uint64_t window, uint64_t size)
{
	struct kvm_create_spapr_tce_64 create = {
		.liobn = LIOBN, .page_shift = 16, .offset = window >> 16, .size = size >> 16,
	};

	return ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &create);
}

static void in_window(const char *what, uint32_t shift)
{
	struct kvm_vfio_spapr_tce spapr = { .groupfd = u.group };

	heading(what);
	ASK(create(shift, 1 << 28, 1), "CREATE");
	spapr.tablefd = table(1ULL << 40, 1 << 20);
	ASK(file(KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &spapr), "SET_SPAPR_TCE elsewhere");
	close(spapr.tablefd);
	spapr.tablefd = table(start, 64 * P);
	if (spapr.tablefd < 0)
		fail("the guest's table");
	ASK(file(KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &spapr), "SET_SPAPR_TCE");
	put(0, 0x100000 | 3);
	put(P, 0x110000 | 3);
	dma(0, buffer + 0x100000, P, buffer + 0x110000);
	put(64 * P, 0x100000 | 3);
	put(2 * P, 1ULL << 40 | 3);
	heading("the guest's and ours");
	ASK(map(RW, buffer + 0x120000, P, P), "MAP over it");
	dma(0, buffer + 0x100000, P, buffer + 0x120000);
	put(P, 0x130000 | 3);
	dma(0, buffer + 0x100000, P, buffer + 0x130000);
	put(0, 0x140000 | 1);
	dma(0, buffer + 0x140000, P, buffer + 0x130000);
	dma(P, buffer + 0x130000, 0, buffer + 0x140000);
	put(0, 0);
	dma(0, buffer + 0x140000, P, buffer + 0x130000);
	ASK(unmap(0, 2 * P), "UNMAP");
	dma(P, buffer + 0x130000, P, buffer + 0x130000);
	for (int i = 0; i < 4; i++)
		put(i * P, (0x100000 + i * P) | 3);
	hcall("H_STUFF_TCE", H_STUFF_TCE, P, 0, 2);
	dma(0, buffer + 0x100000, 3 * P, buffer + 0x130000);
	dma(0, buffer + 0x100000, 2 * P, buffer + 0x120000);
	heading("it goes with what the guest has in it");
	ASK(remove_window(start), "REMOVE");
	dma(0, buffer + 0x100000, 3 * P, buffer + 0x130000);
	close(spapr.tablefd);
}

int main(int argc, char **argv)
{
	long before = locked_kib();

	if (argc < 2)
		return 2;
	begin(argv[1], false);
	make_guest();
	ASK(file(KVM_DEV_VFIO_FILE_ADD, &u.group), "FILE_ADD");
	ASK(reg(buffer, 64 * P), "REGISTER");
	ASK(remove_window(0), "REMOVE");
	edu_open();
	in_window("a window of pages of 64 KiB", 16);
	ASK(unreg(buffer, 64 * P), "UNREGISTER");
	ASK(reg(buffer, 64 * P), "REGISTER");
	in_window("a window of pages of 4 KiB", 12);
	ASK(file(KVM_DEV_VFIO_FILE_DEL, &u.group), "FILE_DEL");
	ASK(unreg(buffer, 64 * P), "UNREGISTER");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	heading("closed while the guest runs");
	ASK(file(KVM_DEV_VFIO_FILE_ADD, &u.group), "FILE_ADD");
	ASK(reg(buffer, 64 * P), "REGISTER");
	ASK(create(16, 1 << 28, 1), "CREATE");
	{
		struct kvm_vfio_spapr_tce spapr = { .groupfd = u.group, .tablefd = table(start, 64 * P) };

		ASK(file(KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &spapr), "SET_SPAPR_TCE");
	}
	put(0, 0x100000 | 3);
	ASK(file(KVM_DEV_VFIO_FILE_DEL, &u.group), "FILE_DEL");
	close_all(&u);
	printf("locked: %ld KiB more\n", locked_kib() - before);
	close(vfio);
	close(vcpu);
	close(vm);
	printf("done\n");
	return 0;
}
