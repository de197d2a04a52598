//! A value that nobody may see: it cannot be printed, and its bytes are overwritten when it is dropped.

use std::fmt;

#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Vec<u8>);

impl Hidden {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Hidden {
        Hidden(bytes.into())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Without the ends of lines at its end, which files and programs put there and no variable wants.
    pub fn without_line_end(&self) -> &[u8] {
        let end = self.0.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        &self.0[..end]
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.fill(0);
        // Else the compiler may see that nobody reads the zeros, and leave them out.
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_nothing() {
        assert_eq!(format!("{:?}", Hidden::new(*b"token")), "…");
    }

    #[test]
    fn line_ends_go() {
        for (value, expected) in [("a\r\n\n", "a"), ("a\nb", "a\nb"), ("\n", ""), ("", ""), (" a ", " a ")] {
            assert_eq!(Hidden::new(value).without_line_end(), expected.as_bytes());
        }
    }
}
