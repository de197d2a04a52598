//! The files of one build, and how they are read: at most 4 MiB of UTF-8 each, refused before more is read.
//!
//! A span counts through all files, as if they stood one after the other: it is as small as a span in one
//! file, and tells its file as well.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use crate::lang::code::Code;
use crate::lang::mistake::{Mistake, Span};

/// The build file of a folder.
pub const FILE_NAME: &str = "memobuild.kdl";

/// Bytes. What people write is a thousand times smaller.
const LARGEST: u64 = 4 << 20;

/// Every file that was read, in the order of reading.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// A file's place in its `Sources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(usize);

#[derive(Debug, Clone)]
pub struct Source {
    /// The path from the workspace root.
    pub name: String,
    pub text: Arc<str>,
    /// What is added to an offset in `text` to make a span.
    pub base: usize,
    /// Where its lines begin: each node of the graph knows its own.
    lines: Vec<u32>,
}

impl Sources {
    /// A byte order mark is no part of the text.
    pub fn add(&mut self, name: &str, text: &str) -> SourceId {
        // One byte between files, so that the end of one is not the beginning of the next.
        let base = self.files.last().map_or(0, |last| last.end() + 1);
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = newlines.filter_map(|(place, _)| u32::try_from(place + 1).ok());
        let lines = std::iter::once(0).chain(lines).collect();
        self.files.push(Source { name: name.to_owned(), text: Arc::from(text), base, lines });
        SourceId(self.files.len() - 1)
    }

    /// How many files were read.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Of all files together.
    pub fn bytes(&self) -> usize {
        self.files.last().map_or(0, Source::end)
    }

    pub fn source(&self, id: SourceId) -> &Source {
        &self.files[id.0]
    }

    /// The file that an offset lies in.
    pub fn at(&self, offset: usize) -> &Source {
        let after = self.files.partition_point(|source| source.base <= offset);
        self.files.get(after.saturating_sub(1)).expect("bug: a span, and no file was read")
    }

    /// Nothing for a span that is not in one file.
    pub fn slice(&self, span: &Span) -> &str {
        let source = self.at(span.start);
        source.text.get(source.local(span)).unwrap_or_default()
    }

    /// `services/api/memobuild.kdl:12`.
    pub fn place(&self, span: &Span) -> String {
        let source = self.at(span.start);
        format!("{}:{}", source.name, source.line(span.start))
    }
}

impl Source {
    /// Of an offset that counts through all files. Both count from 1; columns are characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        line_and_column(&self.text, offset.saturating_sub(self.base))
    }

    /// As `line_and_column`, the line only.
    pub fn line(&self, offset: usize) -> usize {
        let local = offset.saturating_sub(self.base);
        self.lines.partition_point(|start| *start as usize <= local)
    }

    /// The offset behind the text.
    pub fn end(&self) -> usize {
        self.base + self.text.len()
    }

    /// A span that counts through all files, in this text only.
    pub fn local(&self, span: &Span) -> Span {
        span.start.saturating_sub(self.base)..span.end.saturating_sub(self.base)
    }
}

/// Both count from 1; columns are characters.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The text of a file; `name`, its path from the workspace root, is what messages call it.
pub fn read(path: &Path, name: &str) -> Result<String, Mistake> {
    // Opening a fifo would wait for whoever writes into it.
    let is_file = path.metadata().map_err(|error| unreadable(path, name, &error))?.is_file();
    if !is_file {
        return Err(unreadable(path, name, &ErrorKind::InvalidInput.into()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, name, &error))?;
    let bytes = bounded(file).map_err(|error| unreadable(path, name, &error))?;
    text(bytes, name)
}

/// What `input` gives, or the first byte that is too many.
pub fn bounded(input: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bytes that `bounded` gave.
pub fn text(bytes: Vec<u8>, name: &str) -> Result<String, Mistake> {
    if bytes.len() as u64 > LARGEST {
        return Err(Mistake::new(
            Code::FileSize,
            format!("{name} is larger than 4 MiB"),
            "a build file names data, it does not hold it: move large texts to files of their own",
        ));
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(name, &error))
}

fn unreadable(path: &Path, name: &str, error: &std::io::Error) -> Mistake {
    let above = Path::new(name).components().count();
    let workspace = path.ancestors().nth(above).unwrap_or(path).display();
    match error.kind() {
        ErrorKind::NotFound => Mistake::new(
            Code::FileMissing,
            format!("there is no {name} in {workspace}"),
            format!("go to the folder that holds {FILE_NAME}, or name it: memobuild -C FOLDER …"),
        ),
        _ => Mistake::new(
            Code::FileRead,
            match error.kind() {
                ErrorKind::InvalidInput => format!("{name} in {workspace} is not a file"),
                _ => format!("{name} in {workspace} cannot be read: {error}"),
            },
            format!("{name} must be a file that you may read"),
        ),
    }
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Mistake {
    let valid = error.utf8_error().valid_up_to();
    let before = &error.as_bytes()[..valid];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let byte = error.as_bytes()[valid];
    Mistake::new(
        Code::FileUtf8,
        format!("{name} is not UTF-8: byte {valid}, in line {line}, is 0x{byte:02x}"),
        "save the file as UTF-8",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<String, Code> {
        let workspace = tempfile::tempdir().unwrap();
        let path = workspace.path().join(FILE_NAME);
        std::fs::write(&path, bytes).unwrap();
        read(&path, FILE_NAME).map_err(|mistake| mistake.code)
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let workspace = tempfile::tempdir().unwrap();
        let fifo = workspace.path().join(FILE_NAME);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert_eq!(read(&fifo, FILE_NAME).unwrap_err().code, Code::FileRead);
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        assert_eq!(check(b"memobuild 1\r\n"), Ok("memobuild 1\r\n".to_owned()));
        assert_eq!(check(b"a\nb\xff"), Err(Code::FileUtf8));
        assert_eq!(check(&vec![b' '; 4 << 20]).map(|text| text.len()), Ok(4 << 20));
        assert_eq!(check(&vec![b' '; (4 << 20) + 1]), Err(Code::FileSize));
        assert_eq!(check(&vec![0xff; 50 << 20]), Err(Code::FileSize));
    }

    #[test]
    fn a_folder_or_nothing_in_its_place() {
        let workspace = tempfile::tempdir().unwrap();
        let path = workspace.path().join("api").join(FILE_NAME);
        let missing = read(&path, "api/memobuild.kdl").unwrap_err();
        let shown = workspace.path().display();
        assert_eq!(missing.code, Code::FileMissing);
        assert_eq!(missing.message, format!("there is no api/memobuild.kdl in {shown}"));
        std::fs::create_dir_all(&path).unwrap();
        let folder = read(&path, "api/memobuild.kdl").unwrap_err();
        assert_eq!(folder.code, Code::FileRead);
    }

    #[test]
    fn a_span_knows_its_file() {
        let mut sources = Sources::default();
        let first = sources.add("memobuild.kdl", "\u{feff}ab\n");
        let empty = sources.add("empty.kdl", "");
        let last = sources.add("api/memobuild.kdl", "é\nüx\n");
        assert_eq!([first, empty, last].map(|id| sources.source(id).base), [0, 4, 5]);
        for (span, text, place) in [
            (0..2, "ab", "memobuild.kdl:1"),
            (3..3, "", "memobuild.kdl:2"),
            (4..4, "", "empty.kdl:1"),
            (5..7, "é", "api/memobuild.kdl:1"),
            (10..11, "x", "api/memobuild.kdl:2"),
            (0..9, "", "memobuild.kdl:1"),
        ] {
            assert_eq!((sources.slice(&span), sources.place(&span).as_str()), (text, place));
        }
        assert_eq!(sources.at(10).line_and_column(10), (2, 2));
        assert_eq!(sources.at(1000).name, "api/memobuild.kdl");
    }
}
