//! Reads the build file: at most 4 MiB of UTF-8. A larger one is refused before it is read whole.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use miette::NamedSource;

use crate::lang::code::Code;
use crate::lang::mistake::{Mistake, SharedSource};

/// The build file of a workspace, below its root.
pub const FILE_NAME: &str = "memobuild.kdl";

/// Bytes. What people write is a thousand times smaller.
const LARGEST: u64 = 4 << 20;

pub fn read(workspace: &Path) -> Result<SharedSource, Mistake> {
    Ok(named(&read_file(&workspace.join(FILE_NAME), FILE_NAME)?))
}

/// The text of any build file, its byte order mark with it; `name` is what messages call it.
pub fn read_file(path: &Path, name: &str) -> Result<String, Mistake> {
    // Opening a fifo would wait for whoever writes into it.
    let is_file = path.metadata().map_err(|error| unreadable(path, &error))?.is_file();
    if !is_file {
        return Err(unreadable(path, &ErrorKind::InvalidInput.into()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let bytes = bounded(file).map_err(|error| unreadable(path, &error))?;
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

/// A byte order mark is no part of the text.
pub fn named(text: &str) -> SharedSource {
    called(FILE_NAME, text)
}

/// As `named`, for a file of that name.
pub fn called(name: &str, text: &str) -> SharedSource {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Arc::new(NamedSource::new(name, Arc::from(text)))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Mistake {
    let name = path.file_name().unwrap_or_default().display();
    let workspace = path.parent().unwrap_or(Path::new(".")).display();
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
        std::fs::write(workspace.path().join(FILE_NAME), bytes).unwrap();
        read(workspace.path()).map(|source| source.inner().to_string()).map_err(|mistake| mistake.code)
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let workspace = tempfile::tempdir().unwrap();
        let fifo = workspace.path().join(FILE_NAME);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert_eq!(read(workspace.path()).unwrap_err().code, Code::FileRead);
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        assert_eq!(check(b"memobuild 1\r\n"), Ok("memobuild 1\r\n".to_owned()));
        assert_eq!(check(b"\xef\xbb\xbfmemobuild 1"), Ok("memobuild 1".to_owned()));
        assert_eq!(check(b"a\nb\xff"), Err(Code::FileUtf8));
        assert_eq!(check(&vec![b' '; 4 << 20]).map(|text| text.len()), Ok(4 << 20));
        assert_eq!(check(&vec![b' '; (4 << 20) + 1]), Err(Code::FileSize));
        assert_eq!(check(&vec![0xff; 50 << 20]), Err(Code::FileSize));
    }

    #[test]
    fn a_folder_or_nothing_in_its_place() {
        let workspace = tempfile::tempdir().unwrap();
        assert_eq!(read(workspace.path()).unwrap_err().code, Code::FileMissing);
        std::fs::create_dir(workspace.path().join(FILE_NAME)).unwrap();
        assert_eq!(read(workspace.path()).unwrap_err().code, Code::FileRead);
    }
}
