//! A set of small numbers: which entries of a listing are taken, which globs matched.

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bits(Vec<u8>);

impl Bits {
    /// Room for the numbers below `count`.
    pub(crate) fn none(count: usize) -> Bits {
        Bits(vec![0; count.div_ceil(8)])
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Bits {
        Bits(bytes.to_vec())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn set(&mut self, number: usize) {
        self.0[number / 8] |= 1 << (number % 8);
    }

    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(crate) fn has(&self, number: usize) -> bool {
        self.0.get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &Bits) {
        for (byte, more) in self.0.iter_mut().zip(&other.0) {
            *byte |= more;
        }
    }
}
