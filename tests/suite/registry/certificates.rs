//! An authority and a server's certificate from it, made by `openssl`. Keys that sign tokens too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::space::tool;

/// Files in a folder: `ca.crt`, `server.crt`, `server.key`, which are good for a client too. The server is this machine.
pub(crate) fn make(folder: &Path) {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let key = |key: &str, name: &str| -> Vec<String> {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"];
        let subject = format!("/CN={name}");
        curve.iter().map(|word| (*word).to_owned()).chain([file(key), "-subj".to_owned(), subject]).collect()
    };
    let openssl = |words: Vec<String>| {
        tool("openssl", &words.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let ca =
        [words("req -x509 -days 2 -addext basicConstraints=critical,CA:TRUE"), key("ca.key", "authority")];
    openssl([ca.concat(), vec!["-out".to_owned(), file("ca.crt")]].concat());
    openssl(
        [words("req -new"), key("server.key", "localhost"), vec!["-out".to_owned(), file("server.csr")]]
            .concat(),
    );
    fs::write(file("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    let from =
        ["-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-extfile", "names", "-out", "server.crt"];
    let from = from.map(|word| if word.starts_with('-') { word.to_owned() } else { file(word) });
    openssl([words("x509 -req -days 2 -CAcreateserial"), from.to_vec()].concat());
}

/// A folder as `/etc/containers/certs.d`, in which `host` has that authority.
pub(crate) fn trust(folder: &Path, host: &str) -> PathBuf {
    let trusted = folder.join("certs.d");
    fs::create_dir_all(trusted.join(host)).unwrap();
    fs::copy(folder.join("ca.crt"), trusted.join(host).join("ca.crt")).unwrap();
    trusted
}

/// `signer.key` and `signer.crt`, RSA, with which a token service signs. Made once: it takes long.
pub(crate) fn make_signer(folder: &Path) {
    static MADE: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let names = ["signer.key", "signer.crt"];
    let [key, certificate] = MADE.get_or_init(|| {
        let files = names.map(|name| folder.join(name).to_str().unwrap().to_owned());
        let words = ["req", "-x509", "-days", "2", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens"];
        tool("openssl", &[words.as_slice(), &["-keyout", &files[0], "-out", &files[1]]].concat());
        files.map(|file| fs::read(file).unwrap())
    });
    fs::write(folder.join(names[0]), key).unwrap();
    fs::write(folder.join(names[1]), certificate).unwrap();
}

/// What `trust` made shows a certificate too.
pub(crate) fn show(folder: &Path, host: &str) {
    for (from, to) in [("server.crt", "client.cert"), ("server.key", "client.key")] {
        fs::copy(folder.join(from), folder.join("certs.d").join(host).join(to)).unwrap();
    }
}
