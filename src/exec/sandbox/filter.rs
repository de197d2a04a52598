//! Programs by which the kernel judges system calls (seccomp(2), `struct seccomp_data`, in classic BPF). Only numbers
//! can be looked at: what is behind a pointer is for whoever answers a call.
//!
//! A call is found by halving. When a filter is installed, the kernel tries it with every number that it knows, to
//! remember which of them always pass: a program that goes through a list costs half a millisecond a sandbox.

use std::collections::BTreeMap;

use libc::sock_filter;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// It is not made, and gives this error; 0 is success.
    Errno(i32),
    /// Somebody answers it.
    Ask,
    /// It ends the whole process.
    Kill,
}

/// What a call's argument, counted from 0, is to be. Of its 64 bits the low 32 are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Is(u8, u32),
    IsNot(u8, u32),
    /// One of these bits is set.
    Has(u8, u32),
}

/// What holds for calls of one number where all its tests are passed, and no rule before it held.
#[derive(Debug, Clone)]
struct Rule {
    tests: Vec<Test>,
    verdict: Verdict,
}

/// Whatever no rule holds for is allowed.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// Of calls in another architecture's way, whose numbers mean other things.
    foreign: Verdict,
    /// Of all numbers above this one.
    beyond: Option<(u32, Verdict)>,
    rules: BTreeMap<u32, Vec<Rule>>,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const FROM: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const HAS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const SKIP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// So many calls are looked at one after another.
const LEAF: usize = 4;

impl Filter {
    pub(super) fn new(foreign: Verdict) -> Filter {
        Filter { foreign, beyond: None, rules: BTreeMap::new() }
    }

    /// For all calls above `last`.
    pub(super) fn beyond(self, last: u32, verdict: Verdict) -> Filter {
        Filter { beyond: Some((last, verdict)), ..self }
    }

    /// For these calls, whatever their arguments are.
    pub(super) fn on(self, calls: &[i64], verdict: Verdict) -> Filter {
        calls.iter().fold(self, |filter, &call| filter.on_one(call, &[], verdict))
    }

    /// For a call whose arguments pass all these tests.
    pub(super) fn on_one(mut self, call: i64, tests: &[Test], verdict: Verdict) -> Filter {
        let rules = self.rules.entry(call as u32).or_default();
        rules.push(Rule { tests: tests.to_owned(), verdict });
        self
    }

    pub(super) fn program(&self) -> Vec<sock_filter> {
        let mut program = vec![
            line(LOAD, MACHINE, 0, 0),
            line(IS, ARCHITECTURE, 1, 0),
            give(self.foreign),
            line(LOAD, NUMBER, 0, 0),
        ];
        if let Some((last, verdict)) = self.beyond {
            program.extend([line(ABOVE, last, 0, 1), give(verdict)]);
        }
        let calls: Vec<_> = self.rules.iter().map(|(&call, rules)| (call, rules.as_slice())).collect();
        program.extend(choice(&calls));
        program
    }
}

/// Of calls in the order of their numbers.
fn choice(calls: &[(u32, &[Rule])]) -> Vec<sock_filter> {
    if calls.len() <= LEAF {
        let mut lines = Vec::new();
        for (call, rules) in calls {
            let judged = judged(rules);
            lines.push(line(IS, *call, 0, step(&judged)));
            lines.extend(judged);
        }
        lines.push(give(Verdict::Allow));
        return lines;
    }
    let (below, above) = calls.split_at(calls.len() / 2);
    let (first, below, above) = (above[0].0, choice(below), choice(above));
    let mut lines = match u8::try_from(below.len()) {
        Ok(length) => vec![line(FROM, first, length, 0)],
        // Only an unconditional jump is as long as one likes.
        Err(_) => vec![line(FROM, first, 0, 1), line(SKIP, below.len() as u32, 0, 0)],
    };
    lines.extend(below);
    lines.extend(above);
    lines
}

/// What becomes of a call of one number.
fn judged(rules: &[Rule]) -> Vec<sock_filter> {
    let mut lines = Vec::new();
    for Rule { tests, verdict } in rules {
        let mut rule = vec![give(*verdict)];
        // From the last one on, since a test that fails leaves the whole rule.
        for test in tests.iter().rev() {
            let past = step(&rule);
            let (argument, test) = match *test {
                Test::Is(argument, value) => (argument, line(IS, value, 0, past)),
                Test::IsNot(argument, value) => (argument, line(IS, value, past, 0)),
                Test::Has(argument, bits) => (argument, line(HAS, bits, 0, past)),
            };
            rule.splice(0..0, [line(LOAD, low_half(argument), 0, 0), test]);
        }
        lines.extend(rule);
        if tests.is_empty() {
            return lines;
        }
    }
    lines.push(give(Verdict::Allow));
    lines
}

/// Over lines of which there are few.
fn step(lines: &[sock_filter]) -> u8 {
    u8::try_from(lines.len()).expect("bug: a call has too many rules")
}

fn give(verdict: Verdict) -> sock_filter {
    let value = match verdict {
        Verdict::Allow => libc::SECCOMP_RET_ALLOW,
        Verdict::Errno(error) => libc::SECCOMP_RET_ERRNO | error as u32,
        Verdict::Ask => libc::SECCOMP_RET_USER_NOTIF,
        Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    line(RETURN, value, 0, 0)
}

/// Both architectures have the low half first.
const fn low_half(argument: u8) -> u32 {
    ARGUMENTS + 8 * argument as u32
}

fn line(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::exec::sandbox) const HERE: u32 = ARCHITECTURE;
    /// A 386's, on any kernel.
    pub(in crate::exec::sandbox) const FOREIGN: u32 = 0x4000_0003;

    /// What the kernel would do, and in how many steps (bpf(4), in so far as a program uses it).
    fn judge(program: &[sock_filter], machine: u32, call: u32, arguments: [u64; 6]) -> (u32, usize) {
        let mut data = Vec::new();
        data.extend(call.to_le_bytes());
        data.extend(machine.to_le_bytes());
        data.extend([0; 8]);
        arguments.iter().for_each(|argument| data.extend(argument.to_le_bytes()));
        let (mut at, mut loaded, mut steps) = (0, 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            steps += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                LOAD => loaded = u32::from_le_bytes(data[k as usize..][..4].try_into().unwrap()),
                IS => at += jump(loaded == k),
                ABOVE => at += jump(loaded > k),
                FROM => at += jump(loaded >= k),
                HAS => at += jump(loaded & k != 0),
                SKIP => at += k as usize,
                RETURN => return (k, steps),
                code => panic!("{code}"),
            }
        }
    }

    impl Filter {
        pub(in crate::exec::sandbox) fn verdict(
            &self,
            machine: u32,
            call: i64,
            arguments: [u64; 6],
        ) -> Verdict {
            let given = judge(&self.program(), machine, call as u32, arguments).0;
            let error = given & libc::SECCOMP_RET_DATA;
            match given & !libc::SECCOMP_RET_DATA {
                libc::SECCOMP_RET_ALLOW => Verdict::Allow,
                libc::SECCOMP_RET_ERRNO => Verdict::Errno(error as i32),
                libc::SECCOMP_RET_USER_NOTIF => Verdict::Ask,
                libc::SECCOMP_RET_KILL_PROCESS => Verdict::Kill,
                other => panic!("{other:x}"),
            }
        }

        /// What is meant, said as plainly as can be.
        fn meant(&self, machine: u32, call: u32, arguments: [u64; 6]) -> Verdict {
            if machine != HERE {
                return self.foreign;
            }
            if let Some((last, verdict)) = self.beyond.filter(|(last, _)| call > *last) {
                assert!(call > last);
                return verdict;
            }
            let low = |argument: u8| arguments[usize::from(argument)] as u32;
            let passes = |test: &Test| match *test {
                Test::Is(argument, value) => low(argument) == value,
                Test::IsNot(argument, value) => low(argument) != value,
                Test::Has(argument, bits) => low(argument) & bits != 0,
            };
            let rules = self.rules.get(&call).into_iter().flatten();
            let mut held = rules.filter(|rule| rule.tests.iter().all(passes));
            held.next().map_or(Verdict::Allow, |rule| rule.verdict)
        }
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![(0..4095i32).prop_map(Verdict::Errno), Just(Verdict::Ask), Just(Verdict::Kill)]
    }

    fn any_test() -> impl Strategy<Value = Test> {
        prop_oneof![
            (0..6u8, 0..4u32).prop_map(|(argument, value)| Test::Is(argument, value)),
            (0..6u8, 0..4u32).prop_map(|(argument, value)| Test::IsNot(argument, value)),
            (0..6u8, 1..4u32).prop_map(|(argument, bits)| Test::Has(argument, bits)),
        ]
    }

    fn any_filter() -> impl Strategy<Value = Filter> {
        let rule = (0..300i64, prop::collection::vec(any_test(), 0..3), any_verdict());
        let rules = prop::collection::vec(rule, 0..120);
        (any_verdict(), any_verdict(), rules).prop_map(|(foreign, beyond, rules)| {
            let filter = Filter::new(foreign).beyond(250, beyond);
            let add = |filter: Filter, (call, tests, verdict): (i64, Vec<Test>, Verdict)| {
                filter.on_one(call, &tests, verdict)
            };
            rules.into_iter().fold(filter, add)
        })
    }

    proptest! {
        #[test]
        fn a_program_does_what_is_meant(
            filter in any_filter(),
            arguments in prop::array::uniform6(0..4u64),
            high in any::<u32>(),
        ) {
            let arguments = arguments.map(|low| u64::from(high) << 32 | low);
            for call in (0..310).chain([1 << 30, u32::MAX]) {
                for machine in [HERE, FOREIGN] {
                    let meant = filter.meant(machine, call, arguments);
                    prop_assert_eq!(filter.verdict(machine, call.into(), arguments), meant, "{}", call);
                }
            }
        }

        #[test]
        fn any_call_is_found_in_a_few_steps(calls in prop::collection::vec(0..470i64, 0..200), call in 0..470u32) {
            let program = Filter::new(Verdict::Kill).on(&calls, Verdict::Ask).program();
            prop_assert!(program.len() < 4096);
            let (_, steps) = judge(&program, HERE, call, [0; 6]);
            prop_assert!(steps <= 16, "{}", steps);
        }
    }
}
