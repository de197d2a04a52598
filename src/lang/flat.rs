//! Flat typed records out of KDL: the lock file, the user's settings. knus decodes the tree that
//! `parse.rs` makes, since knus itself reads KDL 1 only. For build files see `read.rs`: a derive stops at a
//! node's first mistake and knows no table.

use std::collections::BTreeMap;

use knus::ast::{self, Decimal, Integer, Literal, Radix, SpannedNode};
use knus::decode::Kind;
use knus::errors::DecodeError;
use knus::span::{Span as Place, Spanned};
use knus::traits::Decode;

use crate::lang::code::Code;
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::syntax::{Entry, Node, Value};

/// `None` when something was added to `findings`. `text` is what the node was parsed from, and `example` a
/// node as it may stand there.
pub fn decode<T: Decode<Place>>(
    text: &str,
    node: &Node,
    example: &str,
    findings: &mut Findings,
) -> Option<T> {
    let before = findings.count();
    twice(node, findings);
    match knus::decode::node(&spanned_node(node)) {
        Ok(record) => (findings.count() == before).then_some(record),
        Err(errors) => {
            let word = node.word.as_str();
            errors.into_iter().for_each(|error| findings.add(explain(text, word, example, error)));
            None
        }
    }
}

/// Properties that stand twice: KDL takes the last one, which is never meant.
fn twice(node: &Node, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for (key, _) in node.properties() {
        if let Some(first) = seen.insert(&key.text, key.span.clone()) {
            let message = format!("the property `{}` is given twice", shorten(&key.text));
            let mistake = Mistake::new(Code::SlotTwice, message, "keep one of them");
            findings.add(mistake.at(key.span.clone(), "and again here").at(first, "first here"));
        }
    }
    node.children().iter().for_each(|child| twice(child, findings));
}

fn spanned_node(node: &Node) -> SpannedNode<Place> {
    let properties =
        node.properties().map(|(key, entry)| (spanned(key.text.as_str().into(), &key.span), value(entry)));
    let children = node.block.as_ref().map(|block| {
        let nodes = block.nodes.iter().map(spanned_node).collect();
        spanned(nodes, &block.span)
    });
    let inner = ast::Node {
        // `slip.rs` lets no type annotation through.
        type_name: None,
        node_name: spanned(node.word.as_str().into(), &node.word_span),
        arguments: node.arguments().map(value).collect(),
        properties: properties.collect(),
        children,
    };
    // What is missing in a node is told at its word, not under all of its lines.
    spanned(inner, &node.word_span)
}

fn value(entry: &Entry) -> ast::Value<Place> {
    let literal = match &entry.value {
        Value::Text(text) => Literal::String(text.as_str().into()),
        Value::Int(number) => Literal::Int(Integer(Radix::Dec, number.to_string().into())),
        Value::Float(number) => Literal::Decimal(Decimal(number.to_string().into())),
        Value::Bool(truth) => Literal::Bool(*truth),
        Value::Null => Literal::Null,
    };
    ast::Value { type_name: None, literal: spanned(literal, &entry.whole_span()) }
}

/// knus has no other way to make one.
fn spanned<T>(value: T, place: &Span) -> Spanned<T, Place> {
    Spanned::<(), ()>::default().map(|()| value).map_span(|()| Place(place.start, place.end))
}

/// Our words and codes for what knus found.
fn explain(text: &str, word: &str, example: &str, error: DecodeError<Place>) -> Mistake {
    let at = |place: Place| place.0.min(text.len())..place.1.min(text.len());
    let written = |place: Place| shorten(text.get(at(place)).unwrap_or_default().trim_matches('"'));
    match error {
        DecodeError::ScalarKind { span, expected, found } => {
            let message =
                format!("`{word}` takes {} here, not {}", kind(&expected.to_string()), named(found));
            Mistake::new(Code::TypeValue, message, example).at(at(span), "of another type")
        }
        DecodeError::Conversion { span, source } => {
            Mistake::new(Code::TypeValue, format!("`{}` {source}", value_text(&written(span))), example)
                .at(at(span), "given here")
        }
        DecodeError::Missing { span, message } => {
            let lacks = message.split('`').nth(1).map_or("a value".to_owned(), |name| format!("`{name}`"));
            Mistake::new(Code::SlotMissing, format!("`{word}` needs {lacks}"), example)
                .at(at(span), "not given")
        }
        DecodeError::Unexpected { span, kind, .. } => {
            let code = match kind {
                "property" => Code::UnknownProperty,
                "node" => Code::UnknownSlot,
                _ => Code::SlotExtra,
            };
            let message = format!("`{word}` does not take `{}`", written(span));
            Mistake::new(code, message, example).at(at(span), "not known here")
        }
        other => Mistake::new(Code::TypeValue, format!("`{word}`: {other}"), example),
    }
}

/// The value of `KEY=VALUE`, whose span covers both.
fn value_text(written: &str) -> &str {
    written.split_once('=').map_or(written, |(_, value)| value).trim_matches('"')
}

fn kind(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "boolean" => "#true or #false",
        "null" => "#null",
        _ => "a number",
    }
}

fn named(found: Kind) -> &'static str {
    kind(found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::parse;
    use crate::lang::source::Sources;

    #[derive(knus::Decode, Debug, PartialEq)]
    struct Cup {
        #[knus(argument)]
        name: String,
        #[knus(property)]
        size: Option<u64>,
        #[knus(property, str)]
        address: Option<std::net::Ipv4Addr>,
        #[knus(children(name = "sip"))]
        sips: Vec<Sip>,
    }

    #[derive(knus::Decode, Debug, PartialEq)]
    struct Sip {
        #[knus(property)]
        hot: bool,
    }

    fn check(text: &str) -> Result<Cup, Vec<(&'static str, String, usize)>> {
        let mut findings = Findings::default();
        let document = parse::parse(text, 0, &mut findings);
        let cup = document.and_then(|document| decode(text, &document.nodes[0], "cup tea", &mut findings));
        let mut sources = Sources::default();
        sources.add("cups.kdl", text);
        let records = findings.finish(&sources).records();
        let told = |record: crate::lang::mistake::Record| {
            (record.code, record.message, record.column.unwrap_or_default())
        };
        cup.ok_or_else(|| records.into_iter().map(told).collect())
    }

    /// Bare words, `#true` and raw texts are KDL 2, which knus could not parse.
    #[test]
    fn records_are_read_from_kdl_2() {
        let cup =
            check("cup tea size=3 address=#\"127.0.0.1\"# { sip hot=#true; sip hot=#false; }\n").unwrap();
        assert_eq!((cup.name.as_str(), cup.size), ("tea", Some(3)));
        assert_eq!(cup.address, Some(std::net::Ipv4Addr::LOCALHOST));
        assert_eq!(cup.sips, [Sip { hot: true }, Sip { hot: false }]);
    }

    #[test]
    fn mistakes_are_told_in_our_words_at_their_place() {
        let only = |text: &str| check(text).unwrap_err().remove(0);
        let told = |code, message: &str, column| (code, message.to_owned(), column);
        assert_eq!(only("cup 3"), told("memo::type::value", "`cup` takes a text here, not a number", 5));
        assert_eq!(only("cup"), told("memo::slot::missing", "`cup` needs `name`", 1));
        assert_eq!(only("cup a b"), told("memo::slot::extra", "`cup` does not take `b`", 7));
        assert_eq!(only("cup a of=1"), told("memo::unknown::property", "`cup` does not take `of`", 7));
        assert_eq!(only("cup a { gulp; }"), told("memo::unknown::slot", "`cup` does not take `gulp`", 9));
        assert_eq!(only("cup a { sip; }"), told("memo::slot::missing", "`cup` needs `hot`", 9));
        assert_eq!(only("cup a size=1 size=2").0, "memo::slot::twice");
        assert_eq!(only("cup a size=-1").0, "memo::type::value");
        let address = "`x` invalid IPv4 address syntax";
        assert_eq!(only("cup a address=x"), told("memo::type::value", address, 7));
        assert_eq!(only("cup (u8)a").0, "memo::kdl::quote");
    }
}
