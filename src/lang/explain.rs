//! What each code means, at more length: `explain.md`, a section a code, read as it is shown.
//! The examples there are loaded by a test: the wrong one gives its code, the right one nothing.

use crate::lang::code::Code;

const TEXTS: &str = include_str!("explain.md");

/// What `memobuild explain` tells of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// What it means, and why the rule exists.
    pub text: &'static str,
    /// A build file, mostly without its version line. None where a text alone is not what is wrong.
    pub wrong: Option<&'static str>,
    pub right: Option<&'static str>,
}

pub fn explanation(code: Code) -> Explanation {
    let section = section(code).expect("bug: a code without a section in explain.md");
    let example = |mark: &str| {
        let (_, after) = section.split_once(mark)?;
        after.split_once("```").map(|(example, _)| example)
    };
    Explanation {
        text: section.split("\n```").next().unwrap_or_default().trim(),
        wrong: example("```kdl wrong\n"),
        right: example("```kdl right\n"),
    }
}

fn section(code: Code) -> Option<&'static str> {
    let mut sections = TEXTS.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.find(|(title, _)| *title == code.as_str()).map(|(_, section)| section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tree_path::TreePath;
    use crate::lang::lock::{self, Lock};
    use crate::lang::mistake::Mistakes;
    use crate::lang::tests::files;
    use crate::lang::{Flag, Request, load_texts, policy};

    /// What is wrong here cannot be shown in a few lines of a build file: it is in what lies around it, in
    /// what a command does, or in the file's bytes or size.
    const WITHOUT_EXAMPLE: &[Code] = &[
        Code::GrantMissing,
        Code::BuildInput,
        Code::FileMissing,
        Code::FileRead,
        Code::FileSize,
        Code::FileUtf8,
        Code::FilesEmpty,
        Code::KdlCharacter,
        Code::KdlDepth,
        Code::GraphSize,
        Code::RunNetwork,
        Code::RunRefused,
        Code::RunLostWrites,
        Code::LockDiffers,
        Code::LockRead,
    ];

    /// What stands for the command line: lines `// --param NAME=VALUE`, `// --profile NAME`.
    fn flags<'e>(example: &'e str, flag: &str) -> Vec<&'e str> {
        let lines = example.lines().filter_map(|line| line.strip_prefix("// --"));
        lines.filter_map(|line| line.strip_prefix(flag)?.strip_prefix(' ')).collect()
    }

    /// The codes that an example gives: when it is loaded, and by its policy.
    fn codes(example: &str) -> Vec<Code> {
        let mut texts = files(example);
        for (path, text) in &mut texts {
            let has_version = text.contains("memobuild 1") || text.contains("// another version");
            if *path != lock::FILE_NAME && !has_version {
                *text = format!("memobuild 1\n{text}");
            }
        }
        let flags_of_params = flags(example, "param").into_iter().filter_map(|flag| flag.split_once('='));
        let params: Vec<Flag> = flags_of_params
            .map(|(name, value)| Flag { package: TreePath::root(), name: name.into(), value: value.into() })
            .collect();
        let profile = flags(example, "profile").first().copied();
        let request = Request { params: &params, profile, ..Request::root() };
        let listed = |mistakes: &Mistakes| mistakes.shown.iter().map(|mistake| mistake.code).collect();
        let (locks, texts): (Vec<_>, Vec<_>) = texts
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .partition(|(path, _)| *path == lock::FILE_NAME);
        if let Some(Err(mistakes)) = locks.first().map(|(_, text)| Lock::parse(text)) {
            return listed(&mistakes);
        }
        match load_texts(&texts, &request) {
            Ok(loaded) => {
                let needed: Vec<_> = loaded.graph.default.iter().map(|output| output.node).collect();
                let violations = policy::check(&loaded.graph, &needed, &loaded.settings.policy);
                let mut codes: Vec<Code> = listed(&loaded.warnings);
                codes.extend(violations.iter().map(|violation| violation.code));
                codes
            }
            Err(mistakes) => listed(&mistakes),
        }
    }

    #[test]
    fn every_code_has_its_section_and_no_other_is_there() {
        let titles: Vec<&str> = TEXTS.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(titles, codes, "in the order of code.rs");
        for code in Code::ALL {
            assert!(explanation(*code).text.len() > 60, "{}", code.as_str());
        }
    }

    #[test]
    fn the_examples_are_what_they_are_called() {
        let mut offences = Vec::new();
        for code in Code::ALL {
            let explanation = explanation(*code);
            let (Some(wrong), Some(right)) = (explanation.wrong, explanation.right) else {
                if !WITHOUT_EXAMPLE.contains(code) {
                    offences.push(format!("{}: no example", code.as_str()));
                }
                continue;
            };
            let (wrong, right) = (codes(wrong), codes(right));
            if !wrong.contains(code) || !right.is_empty() {
                offences.push(format!("{}: {wrong:?}, put right: {right:?}", code.as_str()));
            }
        }
        assert!(offences.is_empty(), "{offences:#?}");
    }
}
