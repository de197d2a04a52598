//! What git says when it fails, sorted by what there is to do about it. Its words are for people and change with its
//! versions, so that what is not known here is told as it stands.

use crate::base::address;
use crate::exec::git::address::Address;
use crate::exec::git::error::GitError;

#[derive(Debug)]
pub(super) enum Said {
    /// There is no use in asking in another way.
    Final(GitError),
    /// It broke off: another attempt may do better.
    Interrupted(GitError),
    /// The repository does not have what was asked for.
    NotThere,
    /// Another way of asking may do.
    Unable(GitError),
}

#[derive(Debug, Clone, Copy)]
enum Cause {
    Malformed,
    Owner,
    HostKey,
    Login,
    NotThere,
    NoRepository,
    Interrupted,
    Unreachable,
}

/// Words in lower case, the most telling first: a failed login also says that there may be no repository.
const CAUSES: [(Cause, &[&str]); 8] = [
    (Cause::Malformed, &["error: object "]),
    (Cause::Owner, &["dubious ownership"]),
    (Cause::HostKey, &["host key verification failed"]),
    (
        Cause::Login,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "terminal prompts disabled",
            "permission denied (",
            "invalid username or",
            "returned error: 401",
            "returned error: 403",
        ],
    ),
    (Cause::NotThere, &["not our ref", "couldn't find remote ref"]),
    (
        Cause::Interrupted,
        &[
            "early eof",
            "connection reset",
            "returned error: 429",
            "returned error: 500",
            "returned error: 502",
            "returned error: 503",
            "returned error: 504",
            "unexpected disconnect",
            "rpc failed",
        ],
    ),
    (
        Cause::Unreachable,
        &[
            "could not resolve",
            "connection refused",
            "failed to connect",
            "couldn't connect",
            "could not connect",
            "network is unreachable",
            "no route to host",
            "timed out",
            "temporary failure in name resolution",
            "operation too slow",
            "ssl",
            "certificate",
        ],
    ),
    (
        Cause::NoRepository,
        &[
            "does not appear to be a git repository",
            "repository not found",
            "returned error: 404",
            "does not exist",
            "not found: did you run git update-server-info",
            "' not found",
            "not a git repository",
        ],
    ),
];

pub(super) fn said(address: &Address, stderr: &str) -> Said {
    let lower = stderr.to_lowercase();
    let found = CAUSES
        .iter()
        .find_map(|(cause, words)| Some((*cause, *words.iter().find(|word| lower.contains(*word))?)));
    let at = address.shown();
    let Some((cause, word)) = found else {
        return Said::Unable(GitError::Other { address: at, said: sentence(address, stderr, None) });
    };
    match cause {
        Cause::Malformed => {
            Said::Final(GitError::Malformed { address: at, said: sentence(address, stderr, Some(word)) })
        }
        Cause::Owner => Said::Final(GitError::Owner { address: at }),
        Cause::HostKey => Said::Final(GitError::HostKey { address: at }),
        Cause::Login => Said::Final(GitError::Login { address: at }),
        Cause::NotThere => Said::NotThere,
        Cause::NoRepository => Said::Final(GitError::NoRepository { address: at }),
        Cause::Interrupted => {
            Said::Interrupted(GitError::Network { address: at, said: sentence(address, stderr, Some(word)) })
        }
        Cause::Unreachable => {
            Said::Final(GitError::Network { address: at, said: sentence(address, stderr, Some(word)) })
        }
    }
}

/// The line that tells most, without what must not be shown.
fn sentence(address: &Address, stderr: &str, word: Option<&str>) -> String {
    const LONGEST: usize = 300;
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = word.and_then(|word| lines().find(|line| line.to_lowercase().contains(word)));
    let fatal = || lines().find(|line| line.starts_with("fatal: "));
    let line = telling.or_else(fatal).or_else(|| lines().next_back()).unwrap_or("it says nothing");
    let line = ["fatal: ", "error: "].iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line);
    let line = line.replace(address.as_str(), &address.shown());
    let words: Vec<String> = line.split(' ').map(without_login).collect();
    words.join(" ").chars().filter(|symbol| !symbol.is_control()).take(LONGEST).collect()
}

/// Git may write an address in another way than it was given.
fn without_login(word: &str) -> String {
    let start = word.find(|symbol: char| symbol.is_ascii_alphabetic()).unwrap_or(0);
    let (before, word) = word.split_at(start);
    format!("{before}{}", address::shown(word))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn told(address: &str, stderr: &str) -> String {
        let address = Address::parse(address, Path::new("/")).unwrap();
        match said(&address, stderr) {
            Said::Final(error) => error.to_string(),
            Said::Interrupted(error) => format!("again: {error}"),
            Said::NotThere => "not there".to_owned(),
            Said::Unable(error) => format!("otherwise: {error}"),
        }
    }

    #[test]
    fn each_failure_has_its_sentence() {
        let url = "https://example.org/a";
        for (stderr, expected) in [
            (
                "fatal: could not read Username for 'https://example.org': terminal prompts disabled",
                "https://example.org/a asks for a login, and git has none that it takes",
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://example.org/a/' not found\n",
                "there is no repository at https://example.org/a",
            ),
            (
                "fatal: unable to access 'https://example.org/a/': Could not resolve host: example.org",
                "https://example.org/a cannot be reached: unable to access 'https://example.org/a/': \
                 Could not resolve host: example.org",
            ),
            (
                "ssh: connect to host h port 22: Connection refused\r\nfatal: Could not read from remote.\n",
                "https://example.org/a cannot be reached: ssh: connect to host h port 22: Connection refused",
            ),
            (
                "error: object 12: gitmodulesUrl: disallowed submodule url: -u./x\nfatal: fsck error in packed object\n",
                "git refuses what https://example.org/a holds: \
                 object 12: gitmodulesUrl: disallowed submodule url: -u./x",
            ),
            ("fatal: remote error: upload-pack: not our ref 1234", "not there"),
            (
                "fatal: dumb http transport does not support shallow capabilities",
                "otherwise: git cannot fetch https://example.org/a: \
                 dumb http transport does not support shallow capabilities",
            ),
            (
                "error: RPC failed; curl 18\nfatal: early EOF\n",
                "again: https://example.org/a cannot be reached: early EOF",
            ),
            ("", "otherwise: git cannot fetch https://example.org/a: it says nothing"),
        ] {
            assert_eq!(told(url, stderr), expected);
        }
    }

    #[test]
    fn logins_are_never_told() {
        let said = told(
            "https://me:pass@example.org/a",
            "fatal: odd 'https://me:pass@example.org/a' and https://me:pass@example.org/b\n",
        );
        assert!(!said.contains("pass"), "{said}");
        assert!(said.contains("'https://***@example.org/a'"), "{said}");
    }
}
