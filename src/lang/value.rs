//! One written value → a datum of the type its slot takes.

use crate::base::suggest::{self, ticked};
use crate::base::tree_path::TreePath;
use crate::lang::code::Code;
use crate::lang::interpolate::{BadValue, Plain, Substituted, substitute, value_in_script};
use crate::lang::item::{Datum, Reference};
use crate::lang::label;
use crate::lang::mistake::{Mistake, Span, shorten};
use crate::lang::read::{Reader, several};
use crate::lang::syntax::Value;
use crate::lang::table::{Line, Slot, Wants};
use crate::lang::{platform, size, time};
use crate::tree::mode_change::ModeChange;

/// A value as it stands in the file.
pub struct Written<'a> {
    pub line: &'a Line,
    /// The property that it is the value of.
    pub key: Option<&'a str>,
    pub slot: Slot,
    /// A list may stand here, for all of its values.
    pub several: bool,
    pub value: &'a Value,
    pub span: Span,
    /// The text at `span`.
    pub source: &'a str,
}

/// What a written value gives.
pub enum Read {
    One(Datum),
    /// A list, spliced.
    Several(Vec<Datum>),
}

/// `None` when it was reported, or uses a value that was.
pub fn read_value(written: &Written<'_>, reader: &mut Reader<'_, '_>) -> Option<Read> {
    let read = match written.slot {
        Slot::Script => script(written, reader).map(Read::One),
        Slot::Name => name(written).map(Read::One),
        Slot::Reference(wants) => reference(written, wants, reader).map(Read::One),
        slot => match plain(written, reader) {
            Ok(Some(Substituted::Plain(plain @ Plain::List(_)))) if written.several => {
                splice(written, slot, plain)
            }
            Ok(Some(Substituted::Plain(plain))) => typed(written, slot, plain, reader).map(Read::One),
            Ok(Some(Substituted::Late(text))) if slot == Slot::Late => Ok(Read::One(Datum::Late(text))),
            Ok(Some(Substituted::Late(_))) => Err(too_late(written)),
            Ok(Some(Substituted::Poisoned) | None) => return None,
            Err(mistake) => Err(mistake),
        },
    };
    match read {
        Ok(Read::One(Datum::Text(text))) if matches!(written.slot, Slot::Script | Slot::Expanded) => {
            Some(Read::One(Datum::Text(if written.has_several_lines() { text + "\n" } else { text })))
        }
        Ok(read) => Some(read),
        Err(mistake) => {
            reader.findings.add(*mistake);
            None
        }
    }
}

fn splice(written: &Written<'_>, slot: Slot, list: Plain) -> Checked<Read> {
    let data = several(list).into_iter().map(|text| from_text(written, slot, &text));
    Ok(Read::Several(data.collect::<Checked<Vec<Datum>>>()?))
}

/// `${from.env.…}` where the build could not complete it.
fn too_late(written: &Written<'_>) -> Box<Mistake> {
    let message = format!("{} is read before the node in `from` is known", written.taker());
    let help = "`${from.env.NAME}` stands in `env` and `label` only";
    at_value(written, Mistake::new(Code::ValueForm, message, help), "holds ${from.env.…}")
}

impl Written<'_> {
    /// KDL drops the last line end of such a text; files and scripts want it.
    fn has_several_lines(&self) -> bool {
        self.source.trim_start_matches('#').starts_with("\"\"\"")
    }

    /// For messages: what takes the value.
    fn taker(&self) -> String {
        match self.key {
            Some(key) if self.line.free.is_none() => format!("`{key}=`"),
            _ => ticked(self.line.word),
        }
    }
}

type Checked<T> = Result<T, Box<Mistake>>;

/// The value after substitution; `None` if the literal was refused before.
fn plain(written: &Written<'_>, reader: &Reader<'_, '_>) -> Checked<Option<Substituted>> {
    Ok(Some(Substituted::Plain(match written.value {
        Value::Text(text) => {
            let substituted = substitute(text, &mut |name| reader.world.find(name, reader.env));
            return substituted.map(Some).map_err(|bad| no_value(written, bad));
        }
        Value::Int(number) => match i64::try_from(*number) {
            Ok(number) => Plain::Int(number),
            Err(_) => return Err(wrong_type(written, "a number beyond 64 bits")),
        },
        Value::Bool(truth) => Plain::Bool(*truth),
        Value::Float(_) if takes_any_text(written.slot) => return Err(number_for_text(written)),
        Value::Float(_) => return Err(wrong_type(written, "a decimal number")),
        Value::Null => return Err(wrong_type(written, "#null")),
    })))
}

fn no_value(written: &Written<'_>, bad: BadValue) -> Box<Mistake> {
    let start = written.source.find(&bad.written).unwrap_or(0);
    let length = if written.source[start..].starts_with(&bad.written) {
        bad.written.len()
    } else {
        written.source.len()
    };
    let start = written.span.start + start;
    Box::new(bad.mistake.at(start..start + length, "has no value"))
}

fn typed(written: &Written<'_>, slot: Slot, plain: Plain, reader: &Reader<'_, '_>) -> Checked<Datum> {
    // A parameter may hold a number where the slot takes text; a literal may not.
    let substituted = matches!(written.value, Value::Text(_));
    match (slot, plain) {
        (Slot::Int { min, max }, Plain::Int(number)) if (min..=max).contains(&number) => {
            Ok(Datum::Int(number))
        }
        (Slot::Bool, Plain::Bool(truth)) => Ok(Datum::Bool(truth)),
        (Slot::Mode | Slot::ModeChange, Plain::Int(number)) => octal(written, number),
        (Slot::Plain, Plain::Text(text)) => Ok(Datum::Text(text)),
        (Slot::Plain, Plain::Int(number)) => Ok(Datum::Int(number)),
        (Slot::Plain, Plain::Bool(truth)) => Ok(Datum::Bool(truth)),
        (Slot::Int { .. }, Plain::Int(number)) => Err(wrong_type(written, &number.to_string())),
        (Slot::Int { .. } | Slot::Bool, Plain::Text(_)) => Err(wrong_type(written, "a text")),
        (Slot::Mode, Plain::Text(_)) => Err(bad_mode(written, "a mode is a number in octal")),
        (Slot::Folder, Plain::Text(text)) => folder(written, &text, reader),
        (slot, Plain::Text(text)) => from_text(written, slot, &text),
        (_, Plain::List(_)) => Err(wrong_type(written, "a list")),
        (slot, plain) if substituted && takes_text(slot) => from_text(written, slot, &plain.to_text()),
        (slot, Plain::Int(_)) if takes_any_text(slot) => Err(number_for_text(written)),
        (_, Plain::Int(_)) => Err(wrong_type(written, "a number")),
        (_, Plain::Bool(truth)) => Err(wrong_type(written, if truth { "#true" } else { "#false" })),
    }
}

fn takes_text(slot: Slot) -> bool {
    matches!(
        slot,
        Slot::Text
            | Slot::Choice
            | Slot::Script
            | Slot::Expanded
            | Slot::Glob
            | Slot::Path
            | Slot::Part
            | Slot::Folder
            | Slot::Late
            | Slot::Time
            | Slot::Word(_)
    )
}

/// Where a number that is put between quotes makes sense.
pub(super) fn takes_any_text(slot: Slot) -> bool {
    matches!(slot, Slot::Text | Slot::Choice | Slot::Late | Slot::Script | Slot::Expanded | Slot::Glob)
}

fn from_text(written: &Written<'_>, slot: Slot, text: &str) -> Checked<Datum> {
    match slot {
        Slot::Path => path(written, text),
        Slot::Part => part(written, text),
        Slot::Word(words) => word(written, words, text),
        Slot::Glob => glob(written, text),
        Slot::Duration => match time::duration(text) {
            Some(nanoseconds) => Ok(Datum::Duration(nanoseconds)),
            None => Err(bad_value(
                written,
                format!("`{}` is not a duration", shorten(text)),
                "\"10m\", \"1h30m\", \"500ms\"",
            )),
        },
        Slot::Size => match size::size(text) {
            Some(bytes) => Ok(Datum::Size(bytes)),
            None => {
                let message = format!("`{}` is not a size", shorten(text));
                Err(bad_value(written, message, "\"512MiB\", \"2GiB\", \"10KB\""))
            }
        },
        Slot::Platform => match platform::parse(text) {
            Some(platform) => Ok(Datum::Platform(platform)),
            None => {
                let message = format!("`{}` is not a platform", shorten(text));
                Err(bad_value(written, message, "\"linux/amd64\", \"linux/arm64\", \"linux/arm/v7\""))
            }
        },
        Slot::Regex => match regex::Regex::new(text) {
            Ok(_) => Ok(Datum::Text(text.to_owned())),
            Err(error) => {
                let reason = error.to_string();
                let reason =
                    reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let message = format!("this is not a regular expression: {reason}");
                Err(bad_value(written, message, "for example #\"^v\\d+$\"#"))
            }
        },
        Slot::ModeChange => mode_change(written, text),
        Slot::Time => match time::moment(text) {
            Some(seconds) => Ok(Datum::Time(seconds)),
            None => Err(bad_value(
                written,
                format!("`{}` is not a time", shorten(text)),
                "epoch, \"2026-01-31T12:00:00Z\", or seconds since 1970 as text",
            )),
        },
        _ if text.contains('\0') => {
            Err(bad_value(written, "a text may not hold a NUL character".into(), "remove \\u{0}"))
        }
        _ => Ok(Datum::Text(text.to_owned())),
    }
}

fn path(written: &Written<'_>, text: &str) -> Checked<Datum> {
    match TreePath::parse_absolute(text) {
        Ok(path) => Ok(Datum::Path { path, slash: text.ends_with('/') }),
        Err(error) => {
            let help = format!(
                "write an absolute path without `..`: \"/{}\"",
                shorten(text.trim_start_matches(['.', '/']))
            );
            Err(at_value(written, Mistake::new(Code::PathForm, error.to_string(), help), "not a path here"))
        }
    }
}

fn part(written: &Written<'_>, text: &str) -> Checked<Datum> {
    match TreePath::parse(text) {
        Ok(path) => Ok(Datum::Path { path, slash: false }),
        Err(error) => {
            let help = "write the way from the top of the tree, without `..`: \"dist\"";
            Err(at_value(written, Mistake::new(Code::PathForm, error.to_string(), help), "not a path here"))
        }
    }
}

/// From the package that the line belongs to.
fn folder(written: &Written<'_>, text: &str, reader: &Reader<'_, '_>) -> Checked<Datum> {
    let outside = |message: String| {
        let help = "name a path of the workspace: \"services/api\"";
        at_value(written, Mistake::new(Code::PathForm, message, help), "not below the workspace")
    };
    if text.starts_with('/') {
        return Err(outside(format!("`{}` is an absolute path", shorten(text))));
    }
    match TreePath::parse(text) {
        Ok(path) => {
            let package = &reader.world.scope(reader.env.scope).package;
            Ok(Datum::Path { path: package.below(&path), slash: text.ends_with('/') })
        }
        Err(error) => Err(outside(error.to_string())),
    }
}

fn word(written: &Written<'_>, words: &[&str], text: &str) -> Checked<Datum> {
    if words.contains(&text) {
        return Ok(Datum::Text(text.to_owned()));
    }
    let message = format!("{} takes {}, not `{}`", written.taker(), written.slot.takes(), shorten(text));
    let help = match words {
        [only] => format!("only {} exists so far", ticked(only)),
        words => suggest::help(text, words, ticked, "one of"),
    };
    Err(bad_value(written, message, &help))
}

/// The matcher takes any text as a glob but one that leaves its folder.
fn glob(written: &Written<'_>, text: &str) -> Checked<Datum> {
    let problem = if text.split('/').any(|name| name == "..") {
        "leaves its folder by `..`"
    } else if text.is_empty() || text.contains(['\0', '\n']) {
        "is no glob"
    } else if text.starts_with('!') {
        "begins with `!`"
    } else {
        return Ok(Datum::Text(text.to_owned()));
    };
    let message = format!("`{}` {problem}", shorten(text));
    Err(bad_value(written, message, "globs are like \"src/**\" and \"*.c\"; leave files out by `exclude`"))
}

fn octal(written: &Written<'_>, number: i64) -> Checked<Datum> {
    match u32::try_from(number) {
        Ok(mode) if mode <= 0o7777 && written.source.starts_with("0o") => Ok(Datum::Mode(mode)),
        _ => Err(bad_mode(written, "a mode is written in octal, 0o7777 at most")),
    }
}

fn mode_change(written: &Written<'_>, text: &str) -> Checked<Datum> {
    match ModeChange::parse(text) {
        Ok(_) => Ok(Datum::ModeChange(text.to_owned())),
        Err(_) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            Err(bad_mode(written, "an octal mode is a number: it needs no quotes"))
        }
        Err(error) => Err(bad_mode(written, &error.to_string())),
    }
}

fn bad_mode(written: &Written<'_>, message: &str) -> Box<Mistake> {
    let digits = written.source.trim_matches('"').trim_start_matches("0o").trim_start_matches('0');
    let octal =
        !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let help = format!("0o{}", if octal { digits } else { "755" });
    at_value(written, Mistake::new(Code::TypeMode, message, help), "not octal")
}

fn name(written: &Written<'_>) -> Checked<Datum> {
    match written.value {
        Value::Text(text) if label::is_name(text) => Ok(Datum::Text(text.clone())),
        _ => {
            let message = format!("`{}` is not a name", shorten(written.source.trim_matches('"')));
            let help = "a name begins with a letter and goes on with letters, digits, `_` and `-`";
            Err(at_value(written, Mistake::new(Code::NameForm, message, help), "not a name"))
        }
    }
}

fn reference(written: &Written<'_>, wants: Wants, reader: &mut Reader<'_, '_>) -> Checked<Datum> {
    let Value::Text(text) = written.value else { return Err(not_a_reference(written, written.source)) };
    let Some(label) = label::parse(text) else { return Err(not_a_reference(written, text)) };
    let place = reader.references;
    reader.references += 1;
    Ok(Datum::Reference(Reference {
        label,
        wants,
        span: written.span.clone(),
        scope: reader.env.scope,
        coordinate: reader.coordinate.clone(),
        is_for_build: false,
        place,
    }))
}

fn not_a_reference(written: &Written<'_>, text: &str) -> Box<Mistake> {
    let message =
        format!("{} takes {}, and `{}` names none", written.taker(), written.slot.takes(), shorten(text));
    let help =
        "write the name of a node, NAME.OUTPUT, a label \"//pkg:name\", or a path of this package: \"./src\"";
    at_value(written, Mistake::new(Code::RefForm, message, help), "not a reference")
}

/// `sh`, `file`, `onbuild`: kept as written.
fn script(written: &Written<'_>, reader: &Reader<'_, '_>) -> Checked<Datum> {
    let Value::Text(text) = written.value else {
        return Err(wrong_type(written, "no text"));
    };
    let is_value = |name: &str| reader.world.is_value(name, reader.env);
    if let Some(value) = value_in_script(text, &is_value) {
        return Err(substituted_script(written, value));
    }
    let raw = written.source.starts_with('#');
    if !raw && let Some(start) = written.source.find('\\') {
        return Err(escaped_script(written, start));
    }
    if text.contains('\0') {
        return Err(bad_value(written, "a script may not hold a NUL character".into(), "remove it"));
    }
    Ok(Datum::Text(text.clone()))
}

fn substituted_script(written: &Written<'_>, value: &str) -> Box<Mistake> {
    let start = written.span.start + written.source.find(value).unwrap_or(0);
    let field = value.trim_end_matches('}').rsplit('.').next().unwrap_or_default();
    let variable = field.to_uppercase().replace('-', "_");
    let help = match written.line.word {
        "sh" => format!(
            "env {variable}=\"{value}\"\nsh #\"… \"${variable}\" …\"#\nThis keeps odd characters in a value from becoming commands."
        ),
        word => format!(
            "the text of `{word}` stays as it is written; `expand=#true` puts values in, where the line has it"
        ),
    };
    let mistake = Mistake::new(Code::ScriptSubstitution, "values are not put into scripts", help);
    Box::new(mistake.at(start..start + value.len(), "stays as it is"))
}

fn escaped_script(written: &Written<'_>, start: usize) -> Box<Mistake> {
    let place = written.span.start + start;
    let length = 1 + written.source[start + 1..].chars().next().map_or(0, char::len_utf8);
    let help = if written.source.starts_with("\"\"\"") {
        "write it between #\"\"\" and \"\"\"#".to_owned()
    } else if written.line.word == "sh" {
        let inner = written.source.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.unwrap_or(written.source).replace("\\\"", "\"");
        format!("sh #\"{}\"#", shorten(&inner))
    } else {
        "a text of several lines stands between \"\"\" and \"\"\", one with backslashes between #\" and \"#"
            .to_owned()
    };
    let message = match written.line.word {
        "sh" => "KDL reads this backslash itself; the script never sees it",
        _ => "KDL reads this backslash itself; the text never has it",
    };
    Box::new(Mistake::new(Code::ScriptEscape, message, help).at(place..place + length, "an escape of KDL"))
}

pub(super) fn number_for_text(written: &Written<'_>) -> Box<Mistake> {
    let (taker, source) = (written.taker(), written.source);
    let number = match written.value {
        Value::Float(float) => float.to_string(),
        Value::Int(integer) => integer.to_string(),
        _ => source.to_owned(),
    };
    let message = if number == source {
        format!("{taker} takes {}, and {number} is a number", written.slot.takes())
    } else {
        format!("{taker} takes {}, and {} as a number is {number}", written.slot.takes(), shorten(source))
    };
    at_value(
        written,
        Mistake::new(Code::TypeNumberForText, message, format!("\"{}\"", shorten(source))),
        "a number",
    )
}

fn wrong_type(written: &Written<'_>, what: &str) -> Box<Mistake> {
    let message = format!("{} takes {}, not {what}", written.taker(), written.slot.takes());
    let text = written.source.trim_matches('"');
    let help = match written.slot {
        Slot::Int { .. } if text.parse::<i64>().is_ok() && written.source != text => {
            format!("without quotes: {text}")
        }
        Slot::Bool if matches!(text, "true" | "false") => format!("#{text}"),
        Slot::Int { min, max } => format!("for example {}", 8080.clamp(min, max.max(min))),
        slot => format!("for example {}", slot.example()),
    };
    bad_value(written, message, &help)
}

fn bad_value(written: &Written<'_>, message: String, help: &str) -> Box<Mistake> {
    at_value(written, Mistake::new(Code::TypeValue, message, help), "given here")
}

fn at_value(written: &Written<'_>, mistake: Mistake, label: &str) -> Box<Mistake> {
    Box::new(mistake.at(written.span.clone(), label))
}
