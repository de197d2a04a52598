//! `memobuild explain`: what the code of a mistake means, why there is such a rule, and what to write.

use std::fmt::Write as _;

use crate::base::suggest;
use crate::cli::args::ExplainArgs;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::lang::code::Code;
use crate::lang::explain::explanation;

/// How every code begins.
const PREFIX: &str = "memo::";

pub(super) fn explain(asked: &ExplainArgs) -> Result<(), Failure> {
    match &asked.code {
        Some(word) => print::data(page(find(word)?)),
        None => print::data(list()),
    }
}

fn list() -> String {
    let width = Code::ALL.iter().map(|code| code.as_str().len()).max().unwrap_or(0);
    Code::ALL.iter().map(|code| format!("{:width$}  {}\n", code.as_str(), code.meaning())).collect()
}

fn find(word: &str) -> Result<Code, Failure> {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == word) {
        return Ok(*code);
    }
    if !word.contains("::") {
        return Err(Failure::input(
            format!("`{word}` is not the code of a mistake: codes look like {}", Code::KdlQuote.as_str()),
            "`memobuild explain` lists them. Why a node ran is told by `memobuild log NODE` \
             and `memobuild build --report FILE`",
        ));
    }
    let full = if word.starts_with(PREFIX) { word.to_owned() } else { format!("{PREFIX}{word}") };
    let help = match suggest::nearest(&full, Code::ALL.iter().map(|code| code.as_str())) {
        Some(near) => format!("did you mean `memobuild explain {near}`?"),
        None => "`memobuild explain` lists them all".to_owned(),
    };
    Err(Failure::input(format!("there is no code `{word}`"), help))
}

fn page(code: Code) -> String {
    let explanation = explanation(code);
    let mut page = format!("{}: {}\n\n{}\n", code.as_str(), code.meaning(), explanation.text);
    for (title, example) in [("Wrong:", explanation.wrong), ("Right:", explanation.right)] {
        let Some(example) = example else { continue };
        let _ = writeln!(page, "\n{title}\n");
        for line in example.lines() {
            // In `explain.md` such a line begins the next file of an example.
            let line = line.strip_prefix("%% ").map_or(line.to_owned(), |path| format!("// {path}:"));
            let _ = writeln!(page, "{}", format!("    {line}").trim_end());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(word: &str) -> (String, Option<String>) {
        match find(word) {
            Err(Failure::Input { message, help }) => (message, help),
            _ => panic!("{word} is a code"),
        }
    }

    #[test]
    fn what_is_no_code_is_answered() {
        assert_eq!(find("memo::kdl::quote").ok(), Some(Code::KdlQuote));
        for near in ["memo::kdl::qoute", "kdl::quote", "memo::kdl::quotes"] {
            let (message, help) = refused(near);
            assert_eq!(message, format!("there is no code `{near}`"));
            assert_eq!(help.unwrap(), "did you mean `memobuild explain memo::kdl::quote`?");
        }
        assert_eq!(refused("x::y::z::zzzzzzzzzzz").1.unwrap(), "`memobuild explain` lists them all");
        let (message, help) = refused("compile");
        assert_eq!(message, "`compile` is not the code of a mistake: codes look like memo::kdl::quote");
        assert!(help.unwrap().contains("memobuild log NODE"));
    }

    #[test]
    fn every_code_has_a_page_that_fits() {
        for code in Code::ALL {
            let page = page(*code);
            assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
        }
    }

    #[test]
    fn a_page_in_full() {
        insta::assert_snapshot!(page(Code::ParamName), @r#"
    memo::param::name: A property stands where the name belongs.

    The name comes first, as a word of its own. With an `=` it is read as a property of that name, and
    the parameter has no name.

    Wrong:

        param jobs=4

    Right:

        param jobs default=4
        image app { from scratch; label jobs="${param.jobs}"; }
    "#);
    }
}
