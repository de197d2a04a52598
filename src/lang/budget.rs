//! What reading a build may cost. A short file can ask for more than any machine has: templates of
//! templates, matrices of matrices, values of values. Each of these pays here for what it makes; when
//! nothing is left, what is still asked for counts as poisoned, and one mistake says so.

use std::cell::Cell;

use crate::lang::code::Code;
use crate::lang::mistake::{Findings, Mistake};

/// About bytes of memory, or tens of nanoseconds. Ten thousand ordinary nodes take a quarter.
const MOST: usize = 128 << 20;

/// Of one line that is read, for one coordinate and platform of its node.
pub const LINE: usize = 200;

/// Of one name that is looked up.
pub const NAME: usize = 16;

/// Of one axis of one coordinate that is made.
pub const COORDINATE: usize = 256;

#[derive(Debug, Default)]
pub struct Budget {
    spent: Cell<usize>,
}

impl Budget {
    /// False where there is not enough left.
    pub fn pay(&self, cost: usize) -> bool {
        self.spent.set(self.spent.get().saturating_add(cost));
        !self.is_spent()
    }

    pub fn is_spent(&self) -> bool {
        self.spent.get() > MOST
    }

    pub fn report(&self, findings: &mut Findings) {
        if self.is_spent() {
            let message =
                "the templates, matrices and values of this build come to more than half a million lines";
            let help = "let templates use fewer templates, and give matrices fewer values";
            findings.add(Mistake::new(Code::GraphSize, message, help));
        }
    }
}
