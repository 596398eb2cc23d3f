// SPDX-License-Identifier: GPL-2.0

//! The rules against `tables/`, which the C functions filled (`make tables`). What their lines mean is
//! written in `tests/suites/tables/module/vfio_tables.c`; the suite `tables` compares our modules with them.

use std::{collections::HashMap, fmt::Write, fs};
use vfio_logic::{
    config::range::overlap, errno::EINVAL, info_cap, iova_ranges, irq_set::IrqSet, migration,
};

/// The lists that a table runs through, and its lines.
struct Table {
    lists: HashMap<String, Vec<u32>>,
    lines: Vec<String>,
}

impl Table {
    fn read(name: &str) -> Self {
        let path = format!("{}/tables/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).expect(&path);
        let mut table = Self {
            lists: HashMap::new(),
            lines: Vec::new(),
        };
        for line in text.lines() {
            match line.split_once(':') {
                Some((name, list)) if name.bytes().all(|c| c.is_ascii_lowercase()) => {
                    table.lists.insert(name.into(), hex_words(list));
                }
                _ => table.lines.push(line.into()),
            }
        }
        assert!(table.lines.len() > 20, "{path} is no table");
        if cfg!(miri) {
            // It is some thousand times slower.
            table.lines = table.lines.into_iter().step_by(40).collect();
        }
        table
    }

    fn list(&self, name: &str) -> &[u32] {
        &self.lists[name]
    }
}

fn hex(text: &str) -> u32 {
    u32::from_str_radix(text, 16).expect(text)
}

fn hex_words(text: &str) -> Vec<u32> {
    text.split_whitespace().map(hex).collect()
}

/// "aaab" as "a3b".
fn run_lengths(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let next = rest.trim_start_matches(c);
        out.push(c);
        if rest.len() - next.len() > 1 {
            write!(out, "{}", rest.len() - next.len()).unwrap();
        }
        rest = next;
    }
    out
}

#[test]
fn migration_states() {
    let table = Table::read("migration");
    for line in &table.lines {
        let [flags, from, answers] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let got: String = (table.list("to").iter())
            .map(
                |to| match migration::next_state(hex(from), *to, hex(flags)) {
                    Ok(migration::State::Error) => 'e',
                    Ok(next) => char::from_digit(next as u32, 16).unwrap(),
                    Err(errno) => {
                        assert_eq!(errno, EINVAL);
                        'n'
                    }
                },
            )
            .collect();
        assert_eq!(got, answers, "flags {flags} from {from}");
    }
    // The other states are those that the device does not have, and C warns.
    let states: usize = (table.list("flags").iter())
        .map(|flags| migration::STATES.iter().filter(|s| s.is_in(*flags)).count())
        .sum();
    assert_eq!(states, table.lines.len());
}

/// What the module prints for one header.
fn irq_set(set: &IrqSet, num: u32, kinds: u32, has_size: bool) -> char {
    if set.check(kinds).is_err() {
        return 'n';
    }
    match set.data_size(num) {
        _ if !has_size && set.takes_data() => 'n',
        Err(_) if has_size => 'z',
        Err(_) => 'n',
        Ok(0) => '0',
        Ok(size) if size == set.count as usize => '1',
        Ok(size) => {
            assert_eq!(size, 4 * set.count as usize);
            '4'
        }
    }
}

#[test]
fn irq_sets() {
    let table = Table::read("irq_set");
    for line in &table.lines {
        let words: Vec<&str> = line.split(' ').collect();
        let mut got = String::new();
        match words[0] {
            "r" => {
                let (has_size, num, flags) = (words[1] == "1", hex(words[2]), hex(words[3]));
                for &argsz in table.list("argsz") {
                    for &start in table.list("starts") {
                        for &count in table.list("counts") {
                            let set = IrqSet {
                                argsz,
                                flags,
                                index: 4,
                                start,
                                count,
                            };
                            got.push(irq_set(&set, num, 5, has_size));
                        }
                    }
                }
            }
            "i" => {
                for &flags in table.list("flags") {
                    let set = IrqSet {
                        argsz: 0x18,
                        flags,
                        index: hex(words[1]),
                        start: 0,
                        count: 1,
                    };
                    got.push(irq_set(&set, 2, hex(words[2]), true));
                }
            }
            _ => panic!("{line}"),
        }
        assert_eq!(run_lengths(&got), *words.last().unwrap(), "{line}");
    }
    let all = |names: [&str; 2]| names.map(|n| table.list(n).len()).iter().product::<usize>();
    assert_eq!(
        table.lines.len(),
        2 * all(["nums", "flags"]) + all(["indices", "kinds"])
    );
}

#[test]
fn capabilities() {
    for line in Table::read("info_cap").lines {
        let (script, chain) = line.split_once(" =").unwrap();
        let mut script = script.split(' ');
        let offset = hex(script.next().unwrap());
        let mut got = Vec::new();
        for (i, step) in script.enumerate() {
            let (how, size) = step.split_at(1);
            let (i, size, at) = (i as u16, hex(size) as usize, got.len());
            got.resize(at + info_cap::padded(size).unwrap(), 0);
            info_cap::link(&mut got, at, 0x1234 + i, 0x8001 + i);
            if how == "c" {
                for (n, byte) in got[at..at + size][info_cap::HEADER..]
                    .iter_mut()
                    .enumerate()
                {
                    *byte = (0x10 * i + 1) as u8 + n as u8;
                }
            }
        }
        info_cap::shift(&mut got, offset as usize);
        let words: Vec<String> = got
            .chunks(8)
            .map(|word| match u64::from_ne_bytes(word.try_into().unwrap()) {
                0 => ".".into(),
                word => format!("{word:x}"),
            })
            .collect();
        assert_eq!(words.join(" "), chain.trim_start(), "{line}");
    }
}

#[test]
fn combined_ranges() {
    for line in Table::read("iova_ranges").lines {
        let (before, after) = line.split_once(" = ").unwrap();
        let mut before = before.split(' ');
        let mut number = || hex(before.next().unwrap());
        let (said, wanted) = (number(), number());
        let mut ranges: Vec<(usize, usize, usize)> = before
            .enumerate()
            .map(|(i, range)| {
                let (first, last) = range.split_once('-').unwrap();
                let address = |text| usize::from_str_radix(text, 16).unwrap();
                (i, address(first), address(last))
            })
            .collect();
        for _ in 0..iova_ranges::merges(said, wanted) {
            let Some(pair) = iova_ranges::closest(ranges.iter().map(|r| (r.1, r.2))) else {
                break;
            };
            ranges[pair].2 = ranges[pair + 1].2;
            ranges.remove(pair + 1);
        }
        let got: Vec<String> = (ranges.iter())
            .map(|(i, first, last)| format!("{i:x}:{first:x}-{last:x}"))
            .collect();
        assert_eq!(got.join(" "), after, "{line}");
    }
}

#[test]
fn overlaps() {
    let table = Table::read("overlap");
    for line in &table.lines {
        let (access, answers) = line.split_once(" = ").unwrap();
        let [start, len, reg] = hex_words(access)[..] else {
            panic!("{line}");
        };
        let got: Vec<String> = (table.list("lengths").iter())
            .map(
                |reg_len| match overlap(start.into(), len.into(), reg.into(), (*reg_len).into()) {
                    Some(o) => format!("{:x},{:x},{:x}", o.buf_offset, o.reg_offset, o.count),
                    None => "-".into(),
                },
            )
            .collect();
        assert_eq!(got.join(" "), answers, "{line}");
    }
    let (starts, lengths) = (table.list("starts").len(), table.list("lengths").len());
    assert_eq!(table.lines.len(), starts * starts * lengths);
}
