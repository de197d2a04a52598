//! The name in a TLS client's first words (RFC 8446, section 4.1.2; RFC 6066, section 3): whom it really wants to
//! speak to, whatever the address is called that it connected to. Nothing is decrypted, and nothing changed.

/// What the first bytes of a connection tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// They are too few.
    Unfinished,
    /// It is no TLS, or has no name in it.
    Nameless,
    /// In lower case.
    Name(String),
}

/// A hello may lie in several records; more than this is not waited for.
const LONGEST: usize = 64 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

pub(super) fn read(bytes: &[u8]) -> Hello {
    match handshake(bytes) {
        Some(hello) => name(&hello).map_or(Hello::Nameless, Hello::Name),
        None if is_handshake(bytes) && bytes.len() < LONGEST => Hello::Unfinished,
        None => Hello::Nameless,
    }
}

/// As far as there is anything to see.
fn is_handshake(bytes: &[u8]) -> bool {
    let begins = |place: usize, value: u8| bytes.get(place).is_none_or(|byte| *byte == value);
    begins(0, HANDSHAKE) && begins(1, 3) && begins(5, CLIENT_HELLO)
}

/// The body of the first message, put together from its records; `None` as long as it is not whole.
fn handshake(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut records = Fields(bytes);
    let mut message = Vec::new();
    loop {
        if message.len() >= 4 {
            let length =
                usize::from(message[1]) << 16 | usize::from(message[2]) << 8 | usize::from(message[3]);
            if message[0] != CLIENT_HELLO {
                return None;
            }
            if let Some(body) = message.get(4..4 + length) {
                return Some(body.to_vec());
            }
        }
        if records.byte()? != HANDSHAKE {
            return None;
        }
        records.take(2)?;
        let length = records.number()?;
        message.extend(records.take(length.into())?);
    }
}

fn name(hello: &[u8]) -> Option<String> {
    let mut fields = Fields(hello);
    fields.take(2 + 32)?;
    let session = fields.byte()?;
    fields.take(session.into())?;
    let ciphers = fields.number()?;
    fields.take(ciphers.into())?;
    let compressions = fields.byte()?;
    fields.take(compressions.into())?;
    let length = fields.number()?;
    let mut extensions = Fields(fields.take(length.into())?);
    loop {
        let kind = extensions.number()?;
        let length = extensions.number()?;
        let content = extensions.take(length.into())?;
        if kind == SERVER_NAME {
            let mut names = Fields(content);
            names.number()?;
            let kind = names.byte()?;
            let length = names.number()?;
            let name = std::str::from_utf8(names.take(length.into())?).ok()?;
            return (kind == HOST_NAME && !name.is_empty()).then(|| name.to_ascii_lowercase());
        }
    }
}

/// Bytes that are taken from the front.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn with_length(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
    }

    /// A hello with that name, in records of at most `most` bytes.
    pub(in crate::exec::proxy) fn hello(name: Option<&str>, most: usize) -> Vec<u8> {
        let mut extensions = [&[0, 43][..], &with_length(&[2, 3, 4])].concat();
        if let Some(name) = name {
            let entry = [&[HOST_NAME][..], &with_length(name.as_bytes())].concat();
            extensions.extend([&[0, 0][..], &with_length(&with_length(&entry))].concat());
        }
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[2, 1, 1],
            &with_length(&[0x13, 1, 0x13, 2]),
            &[1, 0],
            &with_length(&extensions),
        ]
        .concat();
        let message = [&[CLIENT_HELLO, 0][..], &with_length(&body)].concat();
        message.chunks(most).flat_map(|part| [&[HANDSHAKE, 3, 1][..], &with_length(part)].concat()).collect()
    }

    #[test]
    fn the_name_is_found() {
        for most in [usize::MAX, 50, 7] {
            let bytes = hello(Some("Deb.Debian.org"), most);
            assert_eq!(read(&bytes), Hello::Name("deb.debian.org".to_owned()));
            for length in 0..bytes.len() {
                assert_eq!(read(&bytes[..length]), Hello::Unfinished, "{length} bytes");
            }
            assert_eq!(read(&hello(None, most)), Hello::Nameless);
        }
    }

    #[test]
    fn other_protocols_have_none() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"SSH-2.0-x",
            &[22, 2],
            &[22, 3, 1, 0, 1, 2],
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        ] {
            assert_eq!(read(bytes), Hello::Nameless, "{bytes:?}");
        }
        assert_eq!(read(&[&[22, 3, 1, 0xff, 0xff, 1][..], &[0; LONGEST]].concat()), Hello::Nameless);
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..200), at in 0_usize..100, change in any::<u8>()) {
            read(&bytes);
            let mut near = hello(Some("a.b"), 60);
            let place = at % near.len();
            near[place] ^= change;
            read(&near);
        }
    }
}
