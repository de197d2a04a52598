//! What a repository says its branches and tags are now, and which commit one of them means.

use crate::base::suggest::nearest;
use crate::exec::git::address::Address;
use crate::exec::git::error::GitError;
use crate::exec::git::oid::Oid;

/// The commit of a branch, a tag or `refs/…`, tags before branches as git itself prefers them; of the repository's own
/// branch where none is named. `listing` is what `git ls-remote` wrote: an annotated tag stands there twice, the second
/// time with `^{}` and the commit that it is about.
pub(super) fn commit(listing: &str, address: &Address, reference: Option<&str>) -> Result<Oid, GitError> {
    let refs: Vec<(&str, &str)> =
        listing.lines().filter_map(|line| line.split_once('\t')).map(|(oid, name)| (name, oid)).collect();
    let of = |name: &str| refs.iter().find(|(found, _)| *found == name).map(|(_, oid)| *oid);
    let peeled = |name: &str| of(&format!("{name}^{{}}")).or_else(|| of(name)).and_then(Oid::from_hex);
    let Some(reference) = reference else {
        return peeled("HEAD").ok_or_else(|| GitError::NoHead {
            address: address.shown(),
            branches: short_names(&refs, "refs/heads/").map(str::to_owned).collect(),
        });
    };
    let candidates = [
        reference.to_owned(),
        format!("refs/{reference}"),
        format!("refs/tags/{reference}"),
        format!("refs/heads/{reference}"),
    ];
    candidates.iter().find_map(|name| peeled(name)).ok_or_else(|| {
        let all = refs.iter().map(|(name, _)| *name);
        let short = short_names(&refs, "refs/heads/").chain(short_names(&refs, "refs/tags/"));
        let legal: Vec<&str> = if reference.starts_with("refs/") { all.collect() } else { short.collect() };
        let legal = legal.into_iter().filter(|name| !name.ends_with("^{}"));
        GitError::NoReference {
            address: address.shown(),
            reference: reference.to_owned(),
            nearest: nearest(reference, legal).map(str::to_owned),
        }
    })
}

fn short_names<'r>(refs: &'r [(&'r str, &'r str)], above: &'r str) -> impl Iterator<Item = &'r str> {
    refs.iter().filter_map(move |(name, _)| name.strip_prefix(above))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn oid(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn listing() -> String {
        let lines = [
            ('1', "HEAD"),
            ('1', "refs/heads/main"),
            ('2', "refs/heads/v1"),
            ('3', "refs/pull/7/head"),
            ('4', "refs/tags/v1"),
            ('5', "refs/tags/v1^{}"),
            ('6', "refs/tags/v2.0.0"),
        ];
        lines.map(|(digit, name)| format!("{}\t{name}\n", oid(digit))).concat()
    }

    fn found(listing: &str, reference: Option<&str>) -> Result<String, GitError> {
        let address = Address::parse("https://h/a", Path::new("/")).unwrap();
        commit(listing, &address, reference).map(|oid| oid.to_string())
    }

    #[test]
    fn names_mean_what_git_makes_of_them() {
        for (reference, digit) in [
            (None, '1'),
            (Some("HEAD"), '1'),
            (Some("main"), '1'),
            (Some("v1"), '5'),
            (Some("heads/v1"), '2'),
            (Some("refs/heads/v1"), '2'),
            (Some("refs/pull/7/head"), '3'),
            (Some("pull/7/head"), '3'),
            (Some("v2.0.0"), '6'),
        ] {
            assert_eq!(found(&listing(), reference).unwrap(), oid(digit), "{reference:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is_near() {
        let near = |reference: &str| match found(&listing(), Some(reference)) {
            Err(GitError::NoReference { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("mian").as_deref(), Some("main"));
        assert_eq!(near("v2.0.1").as_deref(), Some("v2.0.0"));
        assert_eq!(near("refs/heads/mian").as_deref(), Some("refs/heads/main"));
        assert_eq!(near("something-else"), None);
        let unborn = listing().replace("HEAD", "refs/heads/other");
        let Err(GitError::NoHead { branches, .. }) = found(&unborn, None) else { panic!("no head") };
        assert_eq!(branches, ["other", "main", "v1"]);
    }
}
