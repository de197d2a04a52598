//! A run with `network`: it gets where the policy lets it, by the ways that programs go, and nowhere else; and what
//! it did there is known afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use memobuild::base::digest::OciDigest;
use memobuild::graph::op::{Network, OutputKind, Run, free_output};
use memobuild::net;
use memobuild::net::hosts::Hosts;
use memobuild::net::outside::Outside;
use memobuild::net::settings::Settings;
use memobuild::oci::image::{Layer, Rootfs};
use memobuild::store::traffic::{Answer, Refused};
use memobuild::tree::tree::Content;

use crate::sandbox::room::{
    Item, Outcome, Room, host_input, on_host, on_input, output, rooms_with_namespaces, rootfs_input,
};
use crate::sandbox::site::{Site, greeter, own_address};
use crate::skipped::skipped;

/// Rooms whose runs get to these hosts only.
fn rooms_with(hosts: &[&str]) -> Vec<Room> {
    let hosts = Hosts(hosts.iter().map(|host| host.parse().unwrap()).collect());
    let outside = Outside { hosts: Some(hosts), ..Outside::default() };
    let network = net::network::Network::new(Settings { outside, ..Settings::default() });
    rooms_with_namespaces().into_iter().map(|room| room.reaching(&network)).collect()
}

fn networked(script: &str) -> Run {
    Run { network: Network::Proxy, ..on_input(script) }
}

fn run(room: &Room, run: &Run) -> Option<Outcome> {
    Some(room.run(run, &[rootfs_input(room.busybox()?)]))
}

/// As programs do that know of no proxy.
const ALONE: &str = "unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY; ";

fn site() -> Option<Site> {
    Site::start([("/a", "page a\n"), ("/b", "page b\n")].into())
}

fn answer(url: &str, status: u16, body: &str) -> Answer {
    let sha256 = OciDigest::of(body.as_bytes());
    Answer { status, sha256, size: body.len() as u64, ..Answer::of(url) }
}

#[test]
fn a_listed_host_is_reached_through_the_proxy_and_recorded() {
    let Some(site) = site() else { return };
    let own = format!("{}:{}", site.address, site.port);
    for room in rooms_with(&[&own]) {
        let (a, missing, chunks) = (site.url("/a"), site.url("/missing"), site.url("/chunked/xyz"));
        let script = format!("wget -q -O - {a}; wget -q -O - {chunks}; wget -q -O - {missing} || true");
        let Some(outcome) = run(&room, &networked(&script)) else { return };
        assert_eq!(outcome.stdout, "page a\nxyz", "{}", outcome.stderr);
        let made = outcome.made();
        let answers = [
            answer(&a, 200, "page a\n"),
            answer(&chunks, 200, "xyz"),
            answer(&missing, 404, "no such page\n"),
        ];
        assert_eq!(made.traffic.answers, answers);
        let [host] = made.traffic.hosts.as_slice() else { panic!("{:?}", made.traffic) };
        assert_eq!((host.host.clone(), host.port, host.inside), (site.address.to_string(), site.port, true));
        assert!(host.sent > 100 && host.received > 100, "{host:?}");
        // What this machine itself answers is no use to others.
        assert!(!made.shareable);
        assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
        assert_eq!(site.requests()[0], format!("GET /a HTTP/1.1 {own}"));
    }
}

/// Lists of authorities hold that of the run as long as it lasts, and may be renewed.
#[test]
fn what_a_run_believes_is_no_part_of_what_it_leaves() {
    const LIST: &str = "/etc/ssl/certs/ca-certificates.crt";
    let count = format!("grep -c BEGIN {LIST} /dev/certificates.pem; cd /etc/ssl/certs; ");
    for room in rooms_with(&["files.example"]) {
        let Some(mut root) = room.busybox() else { return };
        let run = |script: &str, root: &Rootfs| {
            let run = Run { network: Network::Intercept, ..on_input(&format!("{count}{script}")) };
            let outcome = room.run(&run, &[rootfs_input(root.clone())]);
            let mut left = room.listing(outcome.output(free_output::CHANGE));
            left.retain(|_, content| content != "dir");
            (outcome.stdout, left)
        };
        let left = |content: &str| [(LIST.to_owned(), content.to_owned())].into();
        // The machine's own list, if it has one, is shown to a root that has none.
        if Path::new(LIST).exists() {
            assert_eq!(run("true", &root).1, BTreeMap::new(), "{}", room.rung());
            assert_eq!(run("echo own > new; mv new ca-certificates.crt", &root).1, left("own\n"));
        }
        let list = Item::Folder(vec![("ca-certificates.crt", Item::File("BEGIN one"))]);
        let list = vec![("etc", Item::Folder(vec![("ssl", Item::Folder(vec![("certs", list)]))]))];
        let Content::Directory { tree, .. } = room.tree(list).content else { unreachable!() };
        root.layers.push(Layer::Made(tree));
        let both = format!("{LIST}:2\n/dev/certificates.pem:2\n");
        assert_eq!(run("true", &root), (both.clone(), BTreeMap::new()), "{}", room.rung());
        assert_eq!(run("echo own > new; mv new ca-certificates.crt", &root), (both.clone(), left("own\n")));
        assert_eq!(run("echo more >> ca-certificates.crt", &root).1, left("BEGIN onemore\n"));
        assert_eq!(run("rm ca-certificates.crt", &root).1, left("Whiteout"));
    }
}

#[test]
fn programs_that_know_of_no_proxy_get_there_too() {
    let Some(site) = site() else { return };
    let greeted = greeter(site.address, "welcome\n");
    let (files, mail) = (format!("files.example:{}", site.port), format!("*.example:{greeted}"));
    for room in rooms_with(&[&files, &mail, &format!("mail.example:{greeted}")]) {
        let script = format!(
            "{ALONE} wget -q -O - http://{files}/a; wget -q -O - http://Files.Example:{}/b; \
             nc mail.example {greeted} < /dev/null",
            site.port
        );
        let mut run_ = networked(&script);
        let names = ["files.example", "mail.example"];
        run_.add_hosts = names.map(|name| (name.to_owned(), site.address.to_string())).to_vec();
        let Some(outcome) = run(&room, &run_) else { return };
        assert_eq!(outcome.stdout, "page a\npage b\nwelcome\n", "{}", outcome.stderr);
        let traffic = &outcome.made().traffic;
        let urls: Vec<&str> = traffic.answers.iter().map(|answer| answer.url.as_str()).collect();
        assert_eq!(urls, [format!("http://{files}/a"), format!("http://{files}/b")]);
        let hosts: Vec<(&str, u16)> =
            traffic.hosts.iter().map(|host| (host.host.as_str(), host.port)).collect();
        assert_eq!(hosts, [("files.example", site.port), ("mail.example", greeted)]);
        assert_eq!(traffic.hosts[1].received, 8);
    }
}

#[test]
fn other_hosts_are_refused_and_named() {
    let Some(site) = site() else { return };
    let own = format!("{}:{}", site.address, site.port);
    let refused = |host: &str, port| Refused { host: host.to_owned(), port, inside: false };
    for room in rooms_with(&["listed.example", &own]) {
        let other = greeter(site.address, "never\n");
        let script = format!(
            "{ALONE} wget -q -O - http://other.example/ || export http_proxy=$PROXY; \
             wget -O - http://{}:{other}/ || wget -O - http://below.listed.example/ || \
             printf 'CONNECT {}:{other} HTTP/1.1\\r\\n\\r\\n' | nc 127.0.0.1 3128; exit 7",
            site.address, site.address
        );
        let script = format!("PROXY=$http_proxy; {script}");
        let Some(outcome) = run(&room, &networked(&script)) else { return };
        let failure = outcome.failure();
        assert!(outcome.stderr.contains("bad address 'other.example'"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("403 Forbidden"), "{}", outcome.stderr);
        assert!(outcome.stdout.contains("HTTP/1.1 403 Forbidden"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("is not reached: the policy does not name it"), "{}", outcome.stdout);
        let expected = [
            refused(&site.address.to_string(), Some(other)),
            refused("below.listed.example", Some(80)),
            refused("other.example", None),
        ];
        assert_eq!(failure.refused, expected);
        assert_eq!(site.requests(), [""; 0]);
    }
}

#[test]
fn this_machine_and_its_link_are_nobodys_business() {
    let Some(site) = site() else { return };
    let everywhere = net::network::Network::new(Settings::default());
    for room in rooms_with_namespaces() {
        let room = room.reaching(&everywhere);
        let urls = [site.url("/a"), "http://169.254.169.254/".to_owned(), "http://127.1.2.3/".to_owned()];
        let script: String = urls.iter().map(|url| format!("wget -q -O - {url} || ")).collect();
        let script = format!("{script} {ALONE} wget -q -O - http://named.example/; exit 7");
        let mut run_ = networked(&script);
        run_.add_hosts = vec![("named.example".to_owned(), "169.254.169.254".to_owned())];
        let Some(outcome) = run(&room, &run_) else { return };
        assert_eq!(outcome.stdout, "");
        let inside = |host: &str, port| Refused { host: host.to_owned(), port: Some(port), inside: true };
        let expected = [
            inside("127.1.2.3", 80),
            inside("169.254.169.254", 80),
            inside(&site.address.to_string(), site.port),
            inside("named.example", 80),
        ];
        let mut found = outcome.failure().refused.clone();
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected, "{}", outcome.stderr);
    }
}

/// Each of these would be a way past the proxy.
#[test]
fn there_is_no_other_way_out() {
    let Some(site) = site() else { return };
    let (address, port) = (site.address, site.port);
    let own = format!("{address}:{port}");
    let attempts = [
        format!("echo | nc -w 1 {address} {port}"),
        format!("echo x | nc -u -w 1 {address} {port}"),
        format!("ping -c 1 -W 1 {address}"),
        format!("ip route add {address} dev lo"),
        "ip route add default via 127.0.0.1".to_owned(),
        "ip link add dummy0 type dummy".to_owned(),
        "ip link set lo down".to_owned(),
        "ip addr add 192.0.2.77/24 dev lo".to_owned(),
        "echo | nc -w 1 127.0.0.1 81".to_owned(),
    ];
    for room in rooms_with(&[&own]) {
        for attempt in &attempts {
            let script = format!("if ({attempt}) > /dev/null 2>&1; then echo 'got through'; fi");
            let Some(outcome) = run(&room, &networked(&script)) else { return };
            assert_eq!(outcome.stdout, "", "{attempt} on rung {}", room.rung());
            outcome.made();
        }
        let Some(outcome) = run(&room, &networked("ls /sys 2>&1 || true; grep -c : /proc/net/dev")) else {
            return;
        };
        assert_eq!(outcome.stdout, "ls: /sys: No such file or directory\n1\n");
    }
    assert_eq!(site.requests(), [""; 0]);
}

#[test]
fn raw_sockets_and_sockets_of_the_machine_are_out_of_reach() {
    if !Path::new("/usr/bin/perl").exists() {
        skipped("there is no /usr/bin/perl");
        return;
    }
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("memobuild-test-{}", std::process::id());
    let abstract_name = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&abstract_name).unwrap();
    let script = format!(
        "use Socket; my $there = pack('Sa*', 1, chr(0).'{name}');
         print socket(U, 1, 1, 0) && connect(U, $there) ? 'in' : 'out', qq(\\n);
         print socket(R, 2, 3, 1) ? 'raw' : 'none', qq(\\n);
         print socket(P, 17, 3, 0) ? 'packet' : 'none', qq(\\n);"
    );
    for room in rooms_with(&["a.example"]) {
        let mut run_ = on_host(&format!("perl -e '{}'", script.replace('\'', r"'\''")));
        run_.network = Network::Proxy;
        run_.outputs = vec![output("nothing", "/nothing", OutputKind::Dir)];
        let outcome = room.run(&run_, &[host_input()]);
        assert_eq!(outcome.stdout, "out\nnone\nnone\n", "{}", outcome.stderr);
    }
}

/// CVE class: builds that work together (CVE-2024-27297). What one of them writes is its own, even if it has made another
/// a descriptor of it: there is nobody to give it to.
#[test]
fn two_runs_at_once_do_not_meet() {
    for room in rooms_with(&["a.example"]) {
        let Some(rootfs) = room.busybox() else { return };
        let listening = "(while true; do echo mine | nc -l -p 5000; done) & sleep 1; echo kept > /out/kept";
        let looking = "for round in 1 2 3 4 5 6 7 8; do nc -w 1 127.0.0.1 5000 < /dev/null && echo met; \
                       sleep 0.1; done; grep -c 0100007F:1388 /proc/net/tcp || true";
        let mut one = networked(listening);
        one.outputs = vec![output("out", "/out", OutputKind::Dir)];
        let other = networked(looking);
        let (one, other) = std::thread::scope(|scope| {
            let input = rootfs.clone();
            let one = scope.spawn(|| room.run(&one, &[rootfs_input(input)]));
            let other = room.run(&other, &[rootfs_input(rootfs)]);
            (one.join().unwrap(), other)
        });
        assert_eq!(other.stdout, "0\n", "{}", other.stderr);
        other.made();
        let kept = room.listing(one.output("out"));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(room.listing(one.output("out")), kept);
        assert_eq!(kept["/kept"], "kept\n");
    }
}

#[test]
fn curl_keeps_its_connection_and_sends() {
    if !Path::new("/usr/bin/curl").exists() {
        skipped("there is no /usr/bin/curl");
        return;
    }
    let Some(site) = site() else { return };
    let own = format!("{}:{}", site.address, site.port);
    let (a, b, post) = (site.url("/a"), site.url("/b"), site.url("/post"));
    for room in rooms_with(&[&own]) {
        let script = format!(
            "exec 2>&1; curl -sS {a} {b} {a}; curl -sS -d sent {post}; \
             seq 20000 > /out/big; curl -sS -T - -X POST {post} < /out/big | cmp - /out/big; \
             curl -sS --data-binary @/out/big {post} | cmp - /out/big; \
             curl -sS -p {b}; curl -sS -I {a} | grep -ci content-length; \
             curl -sS -o /dev/null -w '%{{http_code}}\\n' http://other.example/"
        );
        let mut run_ = on_host(&script);
        run_.network = Network::Proxy;
        run_.outputs = vec![output("out", "/out", OutputKind::Dir)];
        let outcome = room.run(&run_, &[host_input()]);
        assert_eq!(outcome.stdout, "page a\npage b\npage a\nsentpage b\n1\n403\n");
        let traffic = &outcome.made().traffic;
        // `-p` is a tunnel: of what is in it only bytes are known.
        assert!(traffic.answers.contains(&answer(&a, 200, "page a\n")), "{traffic:?}");
        assert_eq!(
            traffic.refused,
            [Refused { host: "other.example".to_owned(), port: Some(80), inside: false }]
        );
    }
    assert!(own_address().is_some());
}
