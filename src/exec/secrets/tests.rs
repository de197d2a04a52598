//! Where values come from, and what is said where there is none.

use super::*;

fn secrets(from: SecretFrom) -> Secrets {
    Secrets::new([("token".to_owned(), from)])
}

fn ask(from: SecretFrom) -> Result<Vec<u8>, String> {
    match secrets(from).value("token", &Cancel::default()) {
        Ok(value) => Ok(value.bytes().to_owned()),
        Err(Lack::Absent(error)) => Err(format!("absent: {error}")),
        Err(Lack::Failed(error)) => Err(format!("failed: {error}")),
    }
}

fn command(line: &str) -> SecretFrom {
    SecretFrom::Command { line: line.to_owned(), folder: "/".into() }
}

#[test]
fn every_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"of a file\n").unwrap();
    let variable = |value: Option<&str>| SecretFrom::Variable {
        name: "TOKEN".to_owned(),
        value: value.map(Hidden::new),
    };
    assert_eq!(ask(variable(Some("set"))), Ok(b"set".to_vec()));
    assert_eq!(ask(SecretFrom::File(file)), Ok(b"of a file\n".to_vec()));
    assert_eq!(ask(command("echo said; echo aside >&2")), Ok(b"said\n".to_vec()));
    let why = "the secret `token` has no value";
    assert_eq!(ask(variable(None)), Err(format!("absent: {why}: the variable `TOKEN` is not set")));
    let told = ask(SecretFrom::File("/absent/file".into())).unwrap_err();
    assert!(told.starts_with(&format!("absent: {why}: the file `/absent/file` cannot be read")), "{told}");
    let told = ask(SecretFrom::File(folder.path().to_owned())).unwrap_err();
    assert!(told.starts_with("failed: "), "{told}");
    let told = ask(command("echo value; echo locked >&2; exit 3")).unwrap_err();
    assert_eq!(
        told,
        format!(
            "failed: {why}: the command `echo value; echo locked >&2; exit 3` ended with exit status: 3 and said: locked"
        )
    );
    assert!(ask(command("head -c 1100000 /dev/zero")).unwrap_err().contains("more than 1 MiB"));
    assert!(matches!(
        Secrets::default().value("x", &Cancel::default()),
        Err(Lack::Absent(ExecError::Input { .. }))
    ));
}

#[test]
fn a_command_is_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let line = "echo x >> log; sleep 0.1; wc -l < log".to_owned();
    let secrets = secrets(SecretFrom::Command { line, folder: folder.path().to_owned() });
    std::thread::scope(|scope| {
        let asked = [(); 4].map(|()| scope.spawn(|| secrets.value("token", &Cancel::default()).unwrap()));
        for asked in asked {
            assert_eq!(asked.join().unwrap().without_line_end().trim_ascii(), b"1");
        }
    });
}

#[test]
fn a_command_can_be_stopped() {
    let cancel = Cancel::default();
    let asking = cancel.clone();
    let asked = std::thread::spawn(move || secrets(command("exec sleep 60")).value("token", &asking));
    std::thread::sleep(std::time::Duration::from_millis(50));
    cancel.raise();
    assert!(matches!(asked.join().unwrap(), Err(Lack::Failed(ExecError::Cancelled))));
}
