//! References as they are written: `name`, `name.output`, `"//services/api:app"`, `"./src"`.

use crate::base::tree_path::TreePath;

/// What is written where a node is to be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    Scratch,
    Host,
    /// Of the scope that it is written in.
    Name(Dotted),
    /// Of another package; without a name, its default.
    Package(TreePath, Option<Dotted>),
    /// `./src`, below the package.
    Local(TreePath),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dotted {
    pub name: String,
    pub output: Option<String>,
}

/// `None` when the text is no reference.
pub fn parse(text: &str) -> Option<Label> {
    match text {
        "scratch" => Some(Label::Scratch),
        "host" => Some(Label::Host),
        "." => Some(Label::Local(TreePath::root())),
        local if local.starts_with("./") => TreePath::parse(local).ok().map(Label::Local),
        label if label.starts_with("//") => package(&label[2..]),
        dotted => Dotted::parse(dotted).map(Label::Name),
    }
}

fn package(label: &str) -> Option<Label> {
    let (folder, name) = match label.split_once(':') {
        Some((folder, name)) => (folder, Some(Dotted::parse(name)?)),
        None => (label, None),
    };
    if folder.starts_with('/') || folder.ends_with('/') || folder.contains("//") {
        return None;
    }
    Some(Label::Package(TreePath::parse(folder).ok()?, name))
}

impl Dotted {
    fn parse(text: &str) -> Option<Dotted> {
        let (name, output) = match text.split_once('.') {
            Some((name, output)) => (name, Some(output)),
            None => (text, None),
        };
        let whole = is_name(name) && output.is_none_or(is_name);
        whole.then(|| Dotted { name: name.to_owned(), output: output.map(str::to_owned) })
    }
}

/// `[A-Za-z][A-Za-z0-9_-]*`
pub fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// How a package is named in labels: `//services/api`, `//` for the root.
pub fn package_name(folder: &TreePath) -> String {
    format!("/{folder}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotted(name: &str, output: Option<&str>) -> Dotted {
        Dotted { name: name.into(), output: output.map(str::to_owned) }
    }

    #[test]
    fn forms() {
        let path = |text: &str| TreePath::parse(text).unwrap();
        for (text, expected) in [
            ("app", Some(Label::Name(dotted("app", None)))),
            ("build.dist", Some(Label::Name(dotted("build", Some("dist"))))),
            ("./src", Some(Label::Local(path("src")))),
            (".", Some(Label::Local(path("")))),
            ("//services/api", Some(Label::Package(path("services/api"), None))),
            ("//services/api:app", Some(Label::Package(path("services/api"), Some(dotted("app", None))))),
            ("//:a.b", Some(Label::Package(path(""), Some(dotted("a", Some("b")))))),
            ("//", Some(Label::Package(path(""), None))),
            ("///x", None),
            ("//a/", None),
            ("//a:", None),
            ("//../x:y", None),
            ("a.b.c", None),
            ("1a", None),
            ("a b", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
