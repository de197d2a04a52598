//! How mistakes are collected, placed and told.

use miette::GraphicalTheme;

use super::*;

fn sources(files: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::default();
    for (name, text) in files {
        sources.add(name, text);
    }
    sources
}

fn one_file(text: &str) -> Sources {
    sources(&[("memobuild.kdl", text)])
}

fn slip(span: Span) -> Mistake {
    Mistake::new(Code::KdlSyntax, "m", "h").at(span, "here")
}

fn finish(mistakes: impl IntoIterator<Item = Mistake>, sources: &Sources) -> Mistakes {
    let mut findings = Findings::default();
    mistakes.into_iter().for_each(|mistake| findings.add(mistake));
    findings.finish(sources)
}

fn draw(mistakes: &Mistakes) -> String {
    mistakes
        .shown
        .iter()
        .map(|mistake| super::draw(mistake, GraphicalTheme::unicode_nocolor(), 100))
        .collect()
}

#[test]
fn keeps_the_first_of_the_file_and_counts_the_rest() {
    let mistakes = finish((0..300).rev().map(|start| slip(start..start + 1)), &one_file(&"x".repeat(400)));
    assert_eq!((mistakes.shown.len(), mistakes.more), (20, 280));
    assert_eq!(mistakes.to_string(), "300 mistakes in the build file");
}

#[test]
fn counts_the_files() {
    let sources = sources(&[("a.kdl", "abc"), ("b.kdl", "def")]);
    let count =
        |starts: &[usize]| finish(starts.iter().map(|&start| slip(start..start + 1)), &sources).to_string();
    assert_eq!(count(&[0]), "one mistake in the build file");
    assert_eq!(count(&[4, 0, 1]), "3 mistakes in 2 build files");
    let warning = Mistake::warning(Code::ParamUnused, "m", "h").at(0..1, "here");
    assert_eq!(finish([warning], &sources).to_string(), "one warning in the build file");
}

#[test]
fn equal_ones_are_told_once_and_counted_for_the_reader() {
    let mut findings = Findings::default();
    for place in [1..2, 1..2, 1..3] {
        findings.add(slip(place));
    }
    findings.add(Mistake::new(Code::KdlSyntax, "another", "h").at(1..2, "here"));
    findings.add(Mistake::new(Code::KdlBraces, "m", "h").at(1..2, "here"));
    assert_eq!(findings.count(), 5);
    assert_eq!(findings.finish(&one_file("abc")).shown.len(), 4);
}

/// Ten thousand expansions do not hide what follows them.
#[test]
fn equal_ones_take_no_room() {
    let expansions = (0..10_000).map(|_| slip(0..1));
    let mistakes = finish(expansions.chain([slip(1..2)]), &one_file("abc"));
    assert_eq!((mistakes.shown.len(), mistakes.more), (2, 0));
}

#[test]
fn trails_follow_innermost_first() {
    let mut findings = Findings::default();
    findings.add(slip(0..1));
    let trail = |start: usize| vec![Label::new(start..start + 1, format!("from {start}"))];
    findings.within(
        || trail(4),
        |findings| {
            findings.within(
                || trail(3),
                |findings| {
                    findings.within(
                        || trail(2),
                        |findings| {
                            findings.within(|| trail(1), |findings| findings.add(slip(9..10)));
                        },
                    );
                    findings.add(slip(8..9));
                },
            );
        },
    );
    let mistakes = findings.finish(&one_file("0123456789"));
    let texts: Vec<Vec<&str>> = mistakes
        .shown
        .iter()
        .map(|mistake| mistake.labels.iter().map(|label| label.text.as_str()).collect())
        .collect();
    assert_eq!(
        texts,
        [vec!["here"], vec!["here", "from 3", "from 4"], vec!["here", "from 1", "from 2", "from 3"]],
        "three at most"
    );
}

#[test]
fn places_count_characters() {
    let record = finish([slip(7..12)], &one_file("a\néé 😀\nx")).records().remove(0);
    assert_eq!((record.line, record.column), (Some(2), Some(4)));
    assert_eq!((record.end_line, record.end_column), (Some(3), Some(1)));
    assert_eq!(record.file.as_deref(), Some("memobuild.kdl"));
    assert_eq!(record.labels[0].utf16, (4, 1));
    let emoji = finish([slip(7..11)], &one_file("a\néé 😀\nx")).records().remove(0);
    assert_eq!((emoji.end_column, emoji.labels[0].utf16), (Some(5), (4, 6)));
}

#[test]
fn an_endless_line_is_told_not_drawn() {
    let long = "x".repeat(9000);
    let sources = sources(&[("memobuild.kdl", &long), ("go.kdl", &long), ("short.kdl", "x")]);
    let mistake =
        slip(5000..5001).at(9001 + 10..9001 + 11, "expanded from here").at(18_002..18_003, "and here");
    let mistakes = finish([mistake], &sources);
    insta::assert_snapshot!(draw(&mistakes), @"
    memo::kdl::syntax

      × m (memobuild.kdl, line 1, column 5001)
      ☞ expanded from here (go.kdl, line 1, column 11)
      ☞ in short.kdl
       ╭─[short.kdl:1:1]
     1 │ x
       · ┬
       · ╰── and here
       ╰────
      help: h
    ");
}

#[test]
fn every_file_with_a_part_in_it_is_drawn() {
    let sources = sources(&[
        ("services/api/memobuild.kdl", "memobuild 1\nuse binary name=app {\n    args 3\n}\n"),
        ("build/go.kdl", "memobuild 1\ntemplate binary {\n    env A=x\n    run r\n}\n"),
    ]);
    let base = sources.at(1000).base;
    let mistake = Mistake::new(Code::TypeValue, "`env` takes a text", "quote it")
        .at(43..44, "a number")
        .at(base + 38..base + 41, "stands here")
        .at(12..22, "expanded from here");
    insta::assert_snapshot!(draw(&finish([mistake], &sources)), @"
    memo::type::value

      × `env` takes a text
       ╭─[services/api/memobuild.kdl:3:10]
     1 │ memobuild 1
     2 │ use binary name=app {
       · ─────┬────
       ·      ╰── expanded from here
     3 │     args 3
       ·          ┬
       ·          ╰── a number
     4 │ }
       ╰────
      ☞ in build/go.kdl
       ╭─[build/go.kdl:3:9]
     2 │ template binary {
     3 │     env A=x
       ·         ─┬─
       ·          ╰── stands here
     4 │     run r
       ╰────
      help: quote it
    ");
}

#[test]
fn a_span_beyond_the_text_is_drawn_at_its_end() {
    let page = draw(&finish([slip(2..90)], &one_file("abc")));
    assert!(page.contains("here"), "{page}");
}

/// However far apart two labels are, no more than their surroundings are drawn.
#[test]
fn what_lies_between_two_labels_is_not_drawn() {
    let text = "line\n".repeat(400);
    let page = draw(&finish([slip(1500..1504).at(1000..1004, "and here")], &one_file(&text)));
    assert_eq!(page.lines().filter(|line| line.contains("│ line")).count(), 6, "{page}");
    let near = draw(&finish([slip(1015..1019).at(1000..1004, "and here")], &one_file(&text)));
    assert_eq!(near.lines().filter(|line| line.contains("│ line")).count(), 6, "{near}");
    let long = draw(&finish([slip(1000..1500)], &one_file(&text)));
    assert_eq!(long.lines().filter(|line| line.contains("│ line")).count(), 3, "{long}");
}
