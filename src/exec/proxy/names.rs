//! Answers for names inside a sandbox: each that may be reached gets a loopback address of its own, so that a
//! connection's address says which name was meant. What the name's real address is no run learns.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};

use crate::exec::question::Question;

/// 127.64.0.0: far from the addresses that programs take for themselves.
const FIRST: u32 = 0x7f40_0000;
/// Names that a run may ask for; more are answered that nothing can be told.
const MOST: u32 = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    addresses: HashMap<String, u32>,
    names: Vec<String>,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Reachable,
    /// Nobody has it, as far as this machine can tell.
    Unknown,
    NotAllowed,
}

impl Names {
    /// `judge` is asked only where the answer depends on it.
    pub(super) fn answer(
        &self,
        question: &Question,
        own: &str,
        judge: impl FnOnce(&str) -> Standing,
    ) -> Vec<u8> {
        let Some(name) = &question.name else { return question.no_such_name() };
        let is_local = name == own || name == "localhost" || name.ends_with(".arpa");
        if is_local || judge(name) != Standing::Reachable {
            return question.no_such_name();
        }
        match (question.wants_address(), self.address(name)) {
            (true, Some(address)) => question.address(address),
            (true, None) => question.failure(),
            (false, _) => question.nothing(),
        }
    }

    /// Whose address it is.
    pub(super) fn name(&self, address: IpAddr) -> Option<String> {
        let IpAddr::V4(address) = address.to_canonical() else { return None };
        let number = u32::from(address).checked_sub(FIRST + 1)?;
        self.known().names.get(number as usize).cloned()
    }

    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let mut known = self.known();
        let number = match known.addresses.get(name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(known.names.len()).ok().filter(|number| *number < MOST)?;
                known.names.push(name.to_owned());
                known.addresses.insert(name.to_owned(), number);
                number
            }
        };
        Some(Ipv4Addr::from(FIRST + 1 + number))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::question::tests::question;

    #[test]
    fn each_name_has_one_address() {
        let names = Names::default();
        let ask = |labels: &[&str], standing| {
            let question = Question::read(&question(labels)).unwrap();
            let answer = names.answer(&question, "build", |_| standing);
            let code = answer[3] & 15;
            let address = (answer[7] == 1).then(|| answer.last_chunk::<4>().copied().unwrap());
            (code, address)
        };
        use Standing::{NotAllowed, Reachable, Unknown};
        assert_eq!(ask(&["a", "b"], Reachable), (0, Some([127, 64, 0, 1])));
        assert_eq!(ask(&["C", "d"], Reachable), (0, Some([127, 64, 0, 2])));
        assert_eq!(ask(&["A", "B"], Reachable), (0, Some([127, 64, 0, 1])));
        assert_eq!(ask(&["x"], NotAllowed), (3, None));
        assert_eq!(ask(&["x"], Unknown), (3, None));
        assert_eq!(ask(&["build"], Reachable), (3, None));
        assert_eq!(ask(&["1", "in-addr", "arpa"], Reachable), (3, None));
        assert_eq!(names.name("127.64.0.2".parse().unwrap()).as_deref(), Some("c.d"));
        for unknown in ["127.64.0.3", "127.64.0.0", "127.0.0.1", "::1", "10.0.0.1"] {
            assert_eq!(names.name(unknown.parse().unwrap()), None, "{unknown}");
        }
        let mut other_kind = question(&["a", "b"]);
        let kind = other_kind.len() - 3;
        other_kind[kind] = 28;
        let question = Question::read(&other_kind).unwrap();
        assert_eq!(names.answer(&question, "build", |_| Reachable), question.nothing());
    }
}
