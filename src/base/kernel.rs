//! Which Linux this is, for the few things that cannot be found out by trying them.

use std::sync::OnceLock;

/// Whether it is this version or a later one. One that does not say is taken for new.
pub(crate) fn is_since(major: u32, minor: u32) -> bool {
    static VERSION: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    let version = VERSION.get_or_init(|| version(&rustix::system::uname().release().to_string_lossy()));
    version.is_none_or(|version| version >= (major, minor))
}

/// Of `6.1.0-56-amd64`: 6 and 1.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kernels() {
        for (release, expected) in [
            ("6.1.0-56-amd64", Some((6, 1))),
            ("6.7", Some((6, 7))),
            ("6.18.44-fc-v669", Some((6, 18))),
            ("5.15+", Some((5, 15))),
            ("5.4", Some((5, 4))),
            ("6.1-rc3+", Some((6, 1))),
            ("none", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(is_since(2, 6) && !is_since(999, 0));
    }
}
