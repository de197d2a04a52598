//! What a user may set, and what not.

use super::*;

fn check(text: &str) -> (&'static str, String, Option<usize>) {
    let record = User::parse("config.kdl", text).unwrap_err().records().remove(0);
    (record.code, record.message, record.line)
}

#[test]
fn everything_that_may_be_set() {
    let user = User::parse(
        "config.kdl",
        "// mine\nstore \"~/memo\"\nprofile dev\njobs 3\nprogress plain\ncache { l2 max=\"2GiB\"; }\n\
         secret npm from-env=\"NPM\"\nsecret key from-file=\"/k\"\n\
         remote registry \"mirror.example\" for=\"docker.io\" insecure=#true\n",
    )
    .unwrap();
    let expected = User {
        store: Some("~/memo".to_owned()),
        profile: Some("dev".to_owned()),
        jobs: Some(3),
        progress: Some("plain".to_owned()),
        l2_max: Some(2 << 30),
        secrets: BTreeMap::from([
            ("npm".to_owned(), SecretSource::Env("NPM".to_owned())),
            ("key".to_owned(), SecretSource::File("/k".to_owned())),
        ]),
        remotes: BTreeMap::from([(
            "docker.io".to_owned(),
            Remote { host: "mirror.example".to_owned(), insecure: true },
        )]),
    };
    assert_eq!(user, expected);
    assert_eq!(User::parse("config.kdl", "").unwrap(), User::default());
}

#[test]
fn mistakes_have_their_place() {
    for (text, code, line) in [
        ("jobs 4\njobs 5", "memo::slot::twice", 2),
        ("jobs 0", "memo::type::value", 1),
        ("jobs 99999", "memo::type::value", 1),
        ("jobs many", "memo::type::value", 1),
        ("\nprogress loud", "memo::type::value", 2),
        ("cache { l2 max=\"2 GiB\"; }", "memo::type::value", 1),
        ("cache { l4; }", "memo::unknown::slot", 1),
        ("secret a", "memo::slot::missing", 1),
        ("secret a from-env=\"X\" from-file=\"/y\"", "memo::slot::missing", 1),
        ("secret a from-env=\"X\"\nsecret a from-env=\"Y\"", "memo::slot::twice", 2),
        ("remote mirror a for=b", "memo::type::value", 1),
        ("store here", "memo::type::value", 1),
        ("sotre \"/x\"", "memo::unknown::slot", 1),
        ("policy { network allow; }", "memo::unknown::slot", 1),
        ("param a=1", "memo::unknown::slot", 1),
        ("jobs {", "memo::kdl::braces", 1),
    ] {
        let found = check(text);
        assert_eq!((found.0, found.2), (code, Some(line)), "{text}: {}", found.1);
    }
    assert!(check("policy").1.contains("it would change what is built"));
}
