//! What stays, what changes and what is refused, over texts and over random edits.

use proptest::prelude::*;

use super::*;

const NODE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
const HEX: &str = "3333333333333333333333333333333333333333333333333333333333333333";
const COMMIT: &str = "4444444444444444444444444444444444444444";

fn full() -> String {
    format!(
        "memobuild-lock 1\n\
         // Reviewed by the release team.\n\
         \n\
         // why v1.2: see the notes\n\
         git \"https://example/x.git\" ref=\"v1.2\" commit=\"{COMMIT}\"\n\
         http \"https://example/a.tar\" sha256=\"{HEX}\" size=1024 // mirrored\n\
         image \"docker.io/library/node:22-alpine\" digest=\"{NODE}\" {{\n    \
             platform \"linux/amd64\" digest=\"{NODE}\"\n    \
             platform \"linux/arm64\" digest=\"{OTHER}\"\n}}\n\
         image \"oci:base\" digest=\"{NODE}\"\n\
         library \"https://example/lib.git\" commit=\"{COMMIT}\"\n\
         run \"//:modules\" output=\"mod\" digest=\"{HEX}\"\n\
         seal \"of a newer program\" strength=3 {{ with wax; }}\n\
         // the end\n"
    )
}

fn parse(text: &str) -> Lock {
    let parsed = Lock::parse(text);
    parsed.unwrap_or_else(|mistakes| panic!("{text}\n{:?}", mistakes.records()))
}

fn image(reference: &str, digest: &str) -> Entry {
    Entry::Image {
        reference: reference.to_owned(),
        digest: Some(digest.to_owned()),
        platforms: BTreeMap::new(),
    }
}

#[test]
fn a_whole_file_is_read_and_written_back() {
    let lock = parse(&full());
    assert_eq!(lock.text(), full());
    assert_eq!(lock.image("oci:base", "linux/amd64"), Some(NODE));
    assert_eq!(lock.image("docker.io/library/node:22-alpine", "linux/arm64"), Some(OTHER));
    assert_eq!(lock.image("docker.io/library/node:22-alpine", "linux/riscv64"), Some(NODE));
    assert_eq!(lock.image("oci:other", "linux/amd64"), None);
    assert_eq!(lock.http("https://example/a.tar"), Some(HEX));
    assert_eq!(lock.git("https://example/x.git", Some("v1.2")), Some(COMMIT));
    assert_eq!(lock.git("https://example/x.git", None), None);
    assert_eq!(lock.run("//:modules", "mod"), Some(HEX));
    assert_eq!(lock.entries().count(), 6);
}

#[test]
fn an_update_changes_one_line() {
    let before = full();
    let mut lock = parse(&before);
    assert!(!lock.update(image("oci:base", NODE)), "it says so already");
    assert!(lock.update(image("oci:base", OTHER)));
    let old = format!("image \"oci:base\" digest=\"{NODE}\"");
    assert_eq!(lock.text(), before.replace(&old, &old.replace(NODE, OTHER)));
    let mut lock = parse(&before);
    let http = |sha256: &str| Entry::Http {
        url: "https://example/a.tar".to_owned(),
        sha256: sha256.to_owned(),
        size: Some(1024),
    };
    let other = HEX.replace('3', "5");
    assert!(lock.update(http(&other)));
    let old = format!("sha256=\"{HEX}\" size=1024 // mirrored");
    assert_eq!(lock.text(), before.replace(&old, &old.replace(HEX, &other)));
}

#[test]
fn new_entries_find_their_place() {
    let mut lock = parse(&full());
    assert!(lock.update(image("oci:a", OTHER)));
    let line = format!("image \"oci:a\" digest=\"{OTHER}\"\n");
    let place = full().find("image \"oci:base\"").unwrap();
    let mut expected = full();
    expected.insert_str(place, &line);
    assert_eq!(lock.text(), expected);
    // The comment of the file as a whole stays at its top.
    let mut lock = parse(&full());
    let first = Entry::Git { url: "a".to_owned(), reference: None, commit: COMMIT.to_owned() };
    assert!(lock.update(first));
    let line = format!("git \"a\" commit=\"{COMMIT}\"\n");
    assert_eq!(lock.text(), full().replace("// why v1.2", &format!("{line}// why v1.2")));
}

#[test]
fn a_removed_entry_takes_its_own_comment_along() {
    let mut lock = parse(&full());
    assert!(lock.remove(&Key::new(GIT, "https://example/x.git", Some("v1.2"))));
    assert!(!lock.remove(&Key::new(GIT, "https://example/x.git", Some("v1.2"))));
    let from = full().find("// why").unwrap();
    let until = full().find("http \"").unwrap();
    assert_eq!(lock.text(), format!("{}{}", &full()[..from], &full()[until..]));
    let text = "memobuild-lock 1\nimage \"a\" digest=\"D\"\n// section\n\n// own\nimage \"b\" digest=\"D\"\n";
    let mut lock = parse(&text.replace('D', NODE));
    assert!(lock.remove(&Key::new(IMAGE, "b", None)));
    assert_eq!(lock.text(), format!("memobuild-lock 1\nimage \"a\" digest=\"{NODE}\"\n// section\n\n"));
}

#[test]
fn other_spellings_become_the_one_spelling() {
    for text in [
        "memobuild-lock 1\r\nimage digest=\"D\" oci:base\r\n",
        "memobuild-lock 1\n  image #\"oci:base\"# digest=\"D\";\n",
        "\u{feff}memobuild-lock 1\nimage \"oci:base\" \"digest\"=\"D\"",
    ] {
        let text = text.replace('D', NODE);
        assert_eq!(parse(&text).text(), format!("memobuild-lock 1\nimage \"oci:base\" digest=\"{NODE}\"\n"));
    }
    // But what holds a comment is not written anew.
    let text = format!("memobuild-lock 1\nimage \"a\" /* why */ digest=\"{NODE}\"\n");
    assert_eq!(parse(&text).text(), text);
    let text =
        format!("memobuild-lock 1\nimage \"b\" digest=\"{NODE}\"\n// a\nimage \"a\" digest=\"{NODE}\"\n");
    let sorted =
        format!("memobuild-lock 1\n// a\nimage \"a\" digest=\"{NODE}\"\nimage \"b\" digest=\"{NODE}\"\n");
    assert_eq!(parse(&text).text(), sorted);
}

#[test]
fn what_is_refused_and_where() {
    let check = |text: &str, code: &str, line: usize| {
        let mistakes = Lock::parse(&text.replace("NODE", NODE)).unwrap_err();
        let record = mistakes.records().remove(0);
        assert_eq!((record.code, record.line), (code, Some(line)), "{text}: {}", record.message);
        assert_eq!(record.file.as_deref(), Some("memobuild.lock"));
        assert!(!record.help.is_empty());
    };
    let entry = "image \"a\" digest=\"NODE\"\n";
    check("memobuild-lock 1\n<<<<<<< ours\n=======\n>>>>>>> theirs\n", "memo::lock::conflict", 2);
    check(&format!("memobuild-lock 1\n{entry}=======\n"), "memo::lock::conflict", 3);
    check(&format!("memobuild-lock 1\n{entry}{entry}"), "memo::lock::twice", 3);
    check("memobuild-lock 1\nimage \"a\" digest=\"sha256:12\"\n", "memo::type::value", 2);
    check("memobuild-lock 1\nimage \"a\" digest=12\n", "memo::type::value", 2);
    check("memobuild-lock 1\nimage \"a\" digets=\"NODE\"\n", "memo::unknown::property", 2);
    check("memobuild-lock 1\ngit \"a\" ref=\"v1\"\n", "memo::slot::missing", 2);
    check("memobuild-lock 1\ngit \"a\" commit=\"v1\"\n", "memo::type::value", 2);
    check("memobuild-lock 1\nhttp \"a\" sha256=\"NODE\"\n", "memo::type::value", 2);
    check("memobuild-lock 1\nimage \"a\" digest=\"NODE\" digest=\"NODE\"\n", "memo::slot::twice", 2);
    check(
        "memobuild-lock 1\nimage \"a\" digest=\"NODE\"; image \"b\" digest=\"NODE\"\n",
        "memo::lock::form",
        2,
    );
    check("memobuild-lock 1; image \"b\" digest=\"NODE\"\n", "memo::lock::form", 1);
    check("memobuild-lock 2\n", "memo::lock::version", 1);
    check("memobuild-lock\n", "memo::lock::version", 1);
    check("\nmemobuild-lock 1\n", "memo::lock::version", 1);
    check("image \"a\"\n", "memo::lock::version", 1);
    check("memobuild-lock 1\nimage \"a\n", "memo::kdl::string", 2);
    let empty = Lock::parse("").unwrap_err();
    assert_eq!(empty.records()[0].code, "memo::lock::version");
}

/// What a newer program wrote may stand twice under what looks like one key.
#[test]
fn unknown_entries_stay_as_they_are() {
    let text = "memobuild-lock 1\nnew  \"a\" x=1\nnew \"a\"   x=2 // two\n";
    assert_eq!(parse(text).text(), text);
}

#[test]
fn files_on_the_disk() {
    let workspace = tempfile::tempdir().unwrap();
    assert_eq!(read(workspace.path()).unwrap(), Lock::default());
    let path = workspace.path().join(FILE_NAME);
    std::fs::write(&path, full()).unwrap();
    assert_eq!(read(workspace.path()).unwrap().text(), full());
    std::fs::write(&path, b"memobuild-lock 1\n\xff\n").unwrap();
    assert_eq!(read(workspace.path()).unwrap_err().records()[0].code, "memo::lock::read");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(read(workspace.path()).unwrap_err().records()[0].code, "memo::lock::read");
}

fn digest() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}".prop_map(|hex| format!("sha256:{hex}"))
}

/// Names that any build file could hold, odd characters included.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}",
        "\\PC{1,6}",
        Just("a\"b\\c\nd\u{2028}\u{202e}".to_owned()),
        Just(" // ".to_owned())
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let platforms = proptest::collection::btree_map("linux/[a-c]", digest(), 0..3);
    prop_oneof![
        (name(), proptest::option::of(digest()), platforms)
            .prop_map(|(reference, digest, platforms)| Entry::Image { reference, digest, platforms }),
        (name(), "[0-9a-f]{64}", proptest::option::of(any::<u64>()))
            .prop_map(|(url, sha256, size)| Entry::Http { url, sha256, size: size.map(|size| size >> 1) }),
        (name(), proptest::option::of(name()), "[0-9a-f]{40}")
            .prop_map(|(url, reference, commit)| Entry::Git { url, reference, commit }),
        (name(), name(), "[0-9a-f]{64}").prop_map(|(label, output, digest)| Entry::Run {
            label,
            output,
            digest
        }),
    ]
}

proptest! {
    #[test]
    fn what_was_updated_is_read_back(entries in proptest::collection::vec(entry(), 0..12)) {
        let mut lock = parse(&full());
        for entry in &entries {
            lock.update(entry.clone());
        }
        let read = parse(&lock.text());
        prop_assert_eq!(read.text(), lock.text(), "idempotent");
        prop_assert_eq!(&read, &lock);
        for entry in &entries {
            let last = entries.iter().rev().find(|other| other.key() == entry.key());
            prop_assert_eq!(read.get(&entry.key()), last);
        }
    }

    #[test]
    fn equal_content_is_equal_text(
        entries in proptest::collection::btree_map(name(), digest(), 0..8),
        other in proptest::collection::vec(entry(), 0..4),
    ) {
        let entries: Vec<Entry> = entries.iter().map(|(name, digest)| image(name, digest)).collect();
        let mut one = Lock::default();
        for entry in &entries {
            one.update(entry.clone());
        }
        // The other way about, over a detour, and by way of the disk.
        let mut two = Lock::default();
        for entry in other.iter().chain(entries.iter().rev()) {
            two.update(entry.clone());
        }
        let mut two = parse(&two.text());
        let asked: Vec<Key> = entries.iter().map(Entry::key).collect();
        let gone: Vec<Key> = two.entries().map(Entry::key).filter(|key| !asked.contains(key)).collect();
        for key in &gone {
            two.remove(key);
        }
        prop_assert_eq!(one.text(), two.text());
    }

    #[test]
    fn an_update_leaves_every_other_line(change in digest()) {
        let mut lock = parse(&full());
        lock.update(image("oci:base", &change));
        let changed: Vec<(String, String)> = full()
            .lines()
            .zip(lock.text().lines())
            .filter(|(old, new)| old != new)
            .map(|(old, new)| (old.to_owned(), new.to_owned()))
            .collect();
        prop_assert_eq!(changed.len(), 1);
        prop_assert!(changed[0].1.contains(&change));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(memobuild-lock 1\n)?(image \"a\"|run|/-|//|/\\*|\\*/|\\{|\\}|;|\n| |=|\"|[a-z\\PC]){0,20}") {
        let _ = Lock::parse(&text);
    }
}

#[test]
fn what_runs_fetched_is_read_and_written() {
    let text = format!(
        "memobuild-lock 1\n\
         fetch \"//:deps\" url=\"http://a.example/\" status=302 to=\"/b\" sha256=\"{HEX}\" size=0\n\
         fetch \"//:deps\" url=\"https://a.example/b\" sha256=\"{HEX}\" size=7 type=\"text/plain\"\n\
         fetch \"//:other\" url=\"https://a.example/b\" sha256=\"{HEX}\" size=7\n"
    );
    let lock = Lock::parse(&text).unwrap();
    assert_eq!(lock.text(), text);
    let [first, second] = lock.fetches("//:deps").try_into().unwrap();
    assert_eq!((first.status, first.location.as_deref()), (302, Some("/b")));
    assert_eq!((second.status, second.size, second.media_type.as_deref()), (200, 7, Some("text/plain")));
    assert_eq!(lock.fetches("//:none"), []);
}
