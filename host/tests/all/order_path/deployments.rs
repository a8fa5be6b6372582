//! Versions deployed to running hosts: every host follows, a restart keeps them, and what is refused changes nothing.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fnhost::event::Digest;
use serde_json::Value;

use super::hosts::{Host, agent, told};
use super::orders::{order, place};
use super::world::{FNHOST, World, bounded, fnhost, fulfilment};
use crate::guests::guest;
use crate::kafka::{eventually, say};

/// A component that does what another one does, and is another one: with a custom section more.
fn rebuilt(folder: &Path, of: &Path, name: &str) -> (PathBuf, Digest) {
    let mut wasm = std::fs::read(of).unwrap();
    let content = [&[name.len() as u8], name.as_bytes(), b"built again"].concat();
    wasm.extend([0, content.len() as u8]);
    wasm.extend(content);
    let file = folder.join(name).with_extension("wasm");
    std::fs::write(&file, &wasm).unwrap();
    (file, Digest::of(&wasm))
}

fn inventory() -> PathBuf {
    fulfilment().join("build/inventory.wasm")
}

/// The version of inventory that a host runs.
fn active(host: &Host) -> String {
    let functions: Value = serde_json::from_str(&host.admin("/functions").1).unwrap();
    let all = functions["functions"].as_array().unwrap();
    all.iter().find(|f| f["function"] == "inventory").unwrap()["version"].as_str().unwrap().to_owned()
}

fn runs(host: &Host, digest: Digest) {
    eventually("a host runs what was deployed", || (active(host) == digest.to_string()).then_some(()));
}

/// Which version confirmed an order, as the output's header says.
fn confirmed_by(host: &Host) -> String {
    let id = place(&host.http, &order(1));
    let line = eventually("an order is confirmed", || {
        let out = told(host, &["events", "tail", "order-confirmed", "--key", &id, "--format", "json"]);
        out.lines().next().map(str::to_owned)
    });
    let event: Value = serde_json::from_str(&line).unwrap();
    let headers = event["headers"].as_array().unwrap();
    let version = headers.iter().find(|header| header["name"] == "fnhost-version").unwrap();
    version["value"].as_str().unwrap().to_owned()
}

fn restarted(host: Host, start: impl Fn() -> Host) -> Host {
    host.kill();
    start().ready()
}

/// Deploys, rolls back and removes on `host`, which is started again by `start`.
fn deploys(host: Host, start: impl Fn() -> Host) -> Host {
    let folder = tempfile::tempdir().unwrap();
    let own = Digest::of(&std::fs::read(inventory()).unwrap());
    let (second, second_digest) = rebuilt(folder.path(), &inventory(), "second");
    let (third, third_digest) = rebuilt(folder.path(), &inventory(), "third");
    let out = told(&host, &["versions", "inventory"]);
    assert_eq!(out, format!("inventory: {} runs, as the app came with it; nothing was deployed\n", own.short()));

    let out = told(&host, &["deploy", "inventory", second.to_str().unwrap(), "--dry-run"]);
    let change = format!("{} -> {}\n", own.short(), second_digest.short());
    assert_eq!(out, format!("nothing is in the way of inventory {change}"));
    assert_eq!(active(&host), own.to_string());
    let shipper = fulfilment().join("build/shipper.wasm");
    let out = told(&host, &["deploy", "inventory", shipper.to_str().unwrap(), "--dry-run", "--allow-wider"]);
    assert!(
        out.starts_with("it calls itself /fulfilment/shipper, and the version before calls itself something else\n"),
        "{out}"
    );

    let app = fulfilment().display().to_string();
    let noted = ["deploy", "inventory", second.to_str().unwrap(), "--note", "it is faster", "--scenarios", &app];
    let out = told(&host, &noted);
    assert_eq!(out, format!("deployment 1: inventory {change}"));
    runs(&host, second_digest);
    assert_eq!(confirmed_by(&host), second_digest.to_string());

    told(&host, &["deploy", "inventory", third.to_str().unwrap()]);
    runs(&host, third_digest);
    let host = restarted(host, start);
    runs(&host, third_digest);
    assert_eq!(confirmed_by(&host), third_digest.to_string());

    let out = told(&host, &["rollback", "inventory"]);
    let change = format!("{} -> {}\n", third_digest.short(), second_digest.short());
    assert_eq!(out, format!("deployment 3: inventory {change}"));
    runs(&host, second_digest);
    told(&host, &["rollback", "inventory", &own.short()]);
    runs(&host, own);
    let out = told(&host, &["versions", "inventory"]);
    let listed: Vec<&str> = out.lines().skip(3).map(|line| line.get(..9).unwrap()).collect();
    let mark = |mark: &str, digest: Digest| format!("{mark} {}", digest.short());
    assert_eq!(listed, [mark("*", own), mark(" ", second_digest), mark(" ", third_digest)], "{out}");
    assert!(out.contains("it is faster") && out.contains("the app came with it"), "{out}");

    let parameters = agent().delete(format!("http://{}/functions/inventory/versions?dry-run=true", host.admin));
    assert_eq!(parameters.call().unwrap().status().as_u16(), 400, "what it does not know must not be taken for done");
    assert_eq!(told(&host, &["versions", "inventory"]), out);
    told(&host, &["remove", "inventory"]);
    assert!(told(&host, &["versions", "inventory"]).ends_with("nothing was deployed\n"));
    host
}

#[test]
fn what_is_deployed_to_one_host_on_kafka_runs_on_all_of_them_and_after_a_restart() {
    let Some(world) = World::new() else { return };
    let host = deploys(Host::start(&world, &[]).ready(), || Host::start(&world, &[]));

    let folder = tempfile::tempdir().unwrap();
    let other = Host::start(&world, &[]).ready();
    let (file, digest) = rebuilt(folder.path(), &inventory(), "fourth");
    told(&other, &["deploy", "inventory", file.to_str().unwrap()]);
    runs(&host, digest);
    runs(&other, digest);
    host.kill();
    let third = Host::start(&world, &[]).ready();
    runs(&third, digest);
    assert_eq!(confirmed_by(&third), digest.to_string());
}

#[test]
fn what_is_deployed_on_the_embedded_broker_runs_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let start = || Host::start_over(&fulfilment(), &broker, "127.0.0.1:0", &["--apply-topics"]);
    deploys(start().ready(), start);
}

/// What a deployment made of what, as whoever asked for it was told.
fn deployed(host: &Host, file: &Path) -> Result<(u64, String, String), String> {
    let mut command = Command::new(FNHOST);
    command.args(["deploy", "inventory", file.to_str().unwrap(), "--format", "json", "--admin", &host.admin]);
    let output = bounded("0", || command.output().unwrap());
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let changed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let digest = |key: &str| changed[key].as_str().unwrap().to_owned();
    Ok((changed["number"].as_u64().unwrap(), digest("was"), digest("active")))
}

#[test]
fn of_two_that_deploy_at_once_each_is_told_what_it_replaced_or_that_somebody_else_came_before() {
    let Some(world) = World::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hosts = [Host::start(&world, &[]).ready(), Host::start(&world, &[]).ready()];
    let mut made = Vec::new();
    let mut overtaken = 0;
    for round in 0..4 {
        let file = |who: usize| rebuilt(folder.path(), &inventory(), &format!("round-{round}-{who}")).0;
        let files = [file(0), file(1)];
        let both: Vec<_> = std::thread::scope(|scope| {
            let each = hosts.iter().zip(&files).map(|(host, file)| scope.spawn(move || deployed(host, file)));
            each.collect::<Vec<_>>().into_iter().map(|deploying| deploying.join().unwrap()).collect()
        });
        assert!(both.iter().any(Result::is_ok), "one of them wins: {both:?}");
        for told in both {
            match told {
                Ok(change) => made.push(change),
                Err(said) => {
                    assert!(
                        said.contains("error: somebody else change") && said.contains("fnhost versions inventory"),
                        "{said}"
                    );
                    overtaken += 1;
                }
            }
        }
    }
    say(&format!("{} of 8 deployments, two at a time, were made; {overtaken} were told of the other", made.len()));
    made.sort_unstable();
    let mut before = Digest::of(&std::fs::read(inventory()).unwrap()).to_string();
    for (number, was, active) in made {
        assert_eq!(was, before, "deployment {number}");
        before = active;
    }
}

/// How far a deployment is when its host is killed.
const STEPS: [&str; 4] = ["asked for", "staged", "written", "answered"];

#[test]
fn a_host_that_is_killed_in_any_step_of_a_deployment_leaves_all_hosts_on_one_version() {
    let Some(world) = World::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let first = || Host::start(&world, &["--instance", "a", "--cache", cache.to_str().unwrap()]);
    let (mut victim, other) = (first().ready(), Host::start(&world, &["--instance", "b"]).ready());
    for step in STEPS {
        let (file, digest) = rebuilt(folder.path(), &inventory(), &step.replace(' ', "-"));
        let mut deploying = Command::new(FNHOST)
            .args(["deploy", "inventory", file.to_str().unwrap(), "--admin", &victim.admin])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(deploying.stderr.take().unwrap());
        stderr.read_line(&mut said).unwrap();
        assert!(said.contains("the host compiles and checks it"), "{said}");
        let staged = cache.join("modules").join(digest.hex()).with_extension("wasm");
        match step {
            "staged" => eventually("the component is kept", || staged.exists().then_some(())),
            "written" => runs(&other, digest),
            "answered" => assert!(deploying.wait().unwrap().success()),
            _ => {}
        }
        victim.kill();
        bounded(&deploying.id().to_string(), || deploying.wait().unwrap());
        victim = first().ready();
        eventually("both hosts run one version", || {
            let version = active(&other);
            (active(&victim) == version && confirmed_by(&other) == version).then_some(())
        });
        let must_be = matches!(step, "written" | "answered").then(|| digest.to_string());
        assert!(must_be.is_none_or(|version| active(&other) == version), "{step}");
    }
    let third = Host::start(&world, &[]).ready();
    assert_eq!(active(&third), active(&other));
    let (file, digest) = rebuilt(folder.path(), &inventory(), "last");
    told(&victim, &["deploy", "inventory", file.to_str().unwrap()]);
    for host in [&victim, &other, &third] {
        runs(host, digest);
    }
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, token) = (folder.path().join("broker.redb"), folder.path().join("token"));
    std::fs::write(&token, "0123456789abcdef-token\n").unwrap();
    let more = ["--apply-topics", "--admin-token-file", token.to_str().unwrap()];
    let broker = ["--embedded", broker.to_str().unwrap()];
    let host = Host::start_over(&fulfilment(), &broker, "127.0.0.1:0", &more).ready();
    let own = Digest::of(&std::fs::read(inventory()).unwrap());

    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "0123456789abcdef-other\n").unwrap();
    let refused = |token: Option<&Path>, arguments: &[&str]| {
        let mut command = Command::new(FNHOST);
        command.args(arguments).args(["--admin", &host.admin]);
        if let Some(token) = token {
            command.arg("--admin-token-file").arg(token);
        }
        let output = bounded("0", || command.output().unwrap());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        let said = said.lines().filter(|line| !line.contains("the host compiles and checks it"));
        said.collect::<Vec<_>>().join("\n").replace(&folder.path().display().to_string(), "FOLDER")
    };
    let good = |arguments: &[&str]| refused(Some(&token), arguments);
    let file = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file.display().to_string()
    };
    let (second, _) = rebuilt(folder.path(), &inventory(), "second");
    let second = second.display().to_string();

    insta::assert_snapshot!(refused(None, &["deploy", "inventory", &second]), @r#"
    error: this host asks for a token

    hint: send it as `Authorization: Bearer TOKEN`; fnhost does with --admin-token-file FILE, or FNHOST_ADMIN_TOKEN
    "#);
    insta::assert_snapshot!(refused(Some(&wrong), &["deploy", "inventory", &second]), @r#"
    error: the token is another one

    hint: send it as `Authorization: Bearer TOKEN`; fnhost does with --admin-token-file FILE, or FNHOST_ADMIN_TOKEN
    "#);
    insta::assert_snapshot!(good(&["deploy", "inventry", &second]), @r#"
    error: the app has no such function

    hint: did you mean `inventory`?
    "#);
    insta::assert_snapshot!(good(&["deploy", "inventory", "nowhere.wasm"]), @r#"
    error: nowhere.wasm cannot be read
      caused by: No such file or directory (os error 2)

    hint: it is to be a component's file: fnhost build APP makes them, in APP/build
    "#);
    insta::assert_snapshot!(good(&["deploy", "inventory", &file("none.wasm", b"this is none")]), @r#"
    error: the component cannot be deployed: it is no WebAssembly

    hint: build it as a component: cargo build --release --target wasm32-wasip2
    "#);
    let other = r#"(component (instance $i) (export "fnhost:function/handler@0.2.0" (instance $i)))"#;
    let other = file("other.wasm", &wat::parse_str(other).unwrap());
    insta::assert_snapshot!(good(&["deploy", "inventory", &other]), @r#"
    error: the component cannot be deployed: it does not export fnhost:function/handler@0.1.0, but fnhost:function/handler@0.2.0

    hint: build it against wit/function.wit of this host, or with its fnhost-sdk
    "#);
    for (arguments, problem) in [
        (
            ["deploy", "inventory", &second, "--note", &"x".repeat(100_000)].as_slice(),
            "a note is one line of 1024 bytes",
        ),
        (&["deploy", "inventory", &second, "--note", "\u{202e}won si ti"], "of nothing that is not seen"),
        (&["rollback", "inventory", ""], "a version is told by the first hexadecimal digits of its digest"),
    ] {
        let (code, out, said) = fnhost(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        assert!(said.contains(problem), "{said}");
    }
    let large = folder.path().join("large.wasm");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    insta::assert_snapshot!(good(&["deploy", "inventory", large.to_str().unwrap()]), @r#"
    error: FOLDER/large.wasm has 67108865 bytes, and 67108864 are the most

    hint: leave debug data out: [profile.release] strip = true
    "#);
    let wide = guest("guest");
    insta::assert_snapshot!(good(&["deploy", "inventory", wide.to_str().unwrap()]), @r#"
    error: the component reaches more than the active version

    hint: it imports wasi:clocks/monotonic-clock, wasi:clocks/wall-clock, wasi:logging/logging, wasi:random/insecure-seed, wasi:random/random, and the active version does not; allow that if it is meant to (--allow-wider)
    "#);
    // No component of another function: it would load, and reject all that it is given.
    let shipper = fulfilment().join("build/shipper.wasm");
    insta::assert_snapshot!(good(&["deploy", "inventory", shipper.to_str().unwrap()]), @r#"
    error: the component is one of another function

    hint: it calls itself /fulfilment/shipper, and the active version of `inventory` /fulfilment/inventory; deploy it to its own function, or allow it if it was given another name (--allow-wider)
    "#);
    insta::assert_snapshot!(good(&["rollback", "inventory"]), @r#"
    error: no version of `inventory` was deployed

    hint: fnhost versions inventory shows what there is
    "#);
    insta::assert_snapshot!(good(&["remove", "inventory"]), @r#"
    error: no version of `inventory` was deployed

    hint: fnhost versions inventory shows what there is
    "#);
    // The scenarios of inventory expect other things of the guest.
    let app = fulfilment().display().to_string();
    let said = good(&["deploy", "inventory", wide.to_str().unwrap(), "--scenarios", &app]);
    assert!(said.contains(" scenarios of `inventory` fail; nothing was deployed\n"), "{said}");
    let own_file = inventory().display().to_string();
    insta::assert_snapshot!(good(&["deploy", "inventory", &own_file]).replace(&own.short(), "OWN"), @"error: OWN is active already");

    let upload = |digest: Option<&str>| {
        let url = format!("http://{}/functions/inventory/versions", host.admin);
        let mut request = agent().post(url).header("authorization", "Bearer 0123456789abcdef-token");
        if let Some(digest) = digest {
            request = request.header("content-digest", digest);
        }
        let mut answer = request.send(std::fs::read(&second).unwrap().as_slice()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let (status, body) = upload(None);
    assert!(status == 400 && body.contains("Content-Digest: sha-256="), "{status} {body}");
    let (status, body) = upload(Some("sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"));
    assert!(status == 400 && body.contains("the body is not what it is said to be"), "{status} {body}");

    let url = format!("http://{}/functions", host.admin);
    let mut answer = agent().get(&url).header("authorization", "Bearer 0123456789abcdef-token").call().unwrap();
    let functions = answer.body_mut().read_to_string().unwrap();
    assert!(functions.contains(&own.to_string()), "{functions}");
    assert!(functions.contains(r#""deployments":{"number":0}"#), "{functions}");
    assert_eq!(agent().get(&url).call().unwrap().status().as_u16(), 401);
    assert_eq!(host.admin("/readyz").0, 200, "health asks for no token");
    let (_, log) = host.terminate();
    assert!(log.lines().any(|line| line.contains("audit") && line.contains("inventory")), "{log}");
    assert!(!log.contains("0123456789abcdef"), "{log}");
}

#[test]
fn operators_are_not_served_to_other_machines_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let broker = folder.path().join("broker.redb");
    let broker = broker.to_str().unwrap();
    let app = fulfilment();
    let line = ["run", app.to_str().unwrap(), "--embedded", broker, "--admin", "0.0.0.0:0"];
    let (code, out, err) = fnhost(&line);
    assert_eq!((code, out.as_str()), (1, ""));
    insta::assert_snapshot!(err, @r#"
    error: operators would be served on 0.0.0.0:0 without a token

    hint: openssl rand -hex 32 > admin.token, then --admin-token-file admin.token (or FNHOST_ADMIN_TOKEN); or serve this machine only: --admin 127.0.0.1:0
    "#);
}

/// A component of 25 KB for which the compiler wants gigabytes: each of many variables is another one in each of many loops, one within
/// the other.
fn costly() -> Vec<u8> {
    const LOOPS: usize = 900;
    const VARIABLES: u32 = 2000;
    let number = |mut number: u32| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let section = |id: u8, content: &[u8]| [&[id], number(content.len() as u32).as_slice(), content].concat();
    let mut body = [&[1], number(VARIABLES).as_slice(), &[0x7e]].concat();
    body.extend([0x03, 0x40].repeat(LOOPS));
    for variable in 0..VARIABLES {
        // variable = variable + 1
        let variable = number(variable);
        body.extend([&[0x20], variable.as_slice(), &[0x42, 0x01, 0x7c, 0x21], &variable].concat());
    }
    // Again, unless the first one is 0.
    body.extend([0x20, 0x00, 0xa7, 0x0d, 0x00, 0x0b].repeat(LOOPS));
    body.extend([0x20, 0x00, 0x0b]);
    let code = [&[1], number(body.len() as u32).as_slice(), &body].concat();
    let types = section(1, &[1, 0x60, 0, 1, 0x7e]);
    let module = [b"\0asm\x01\0\0\0".as_slice(), &types, &section(3, &[1, 0]), &section(10, &code)].concat();
    [b"\0asm\x0d\0\x01\0".as_slice(), &section(1, &module)].concat()
}

#[test]
fn a_component_that_costs_the_compiler_too_much_is_refused_and_the_host_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = folder.path().join("broker.redb");
    let broker = ["--embedded", broker.to_str().unwrap()];
    let host = Host::start_over(&fulfilment(), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    let file = folder.path().join("costly.wasm");
    std::fs::write(&file, costly()).unwrap();
    let before = active(&host);
    let mut deploying = Command::new(FNHOST);
    deploying.args(["deploy", "inventory", file.to_str().unwrap(), "--admin", &host.admin]);
    let deploying = deploying.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It is the child that has to do with it.
    assert_eq!(confirmed_by(&host), before);
    // It gives up by itself, after as long as a host may take.
    let refused = deploying.wait_with_output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let is_known = ["more than 2048 MiB of memory", "longer than 60s"].iter().any(|limit| said.contains(limit));
    assert!(said.contains("error: the component cannot be deployed: compiling ") && is_known, "{said}");
    assert_eq!((confirmed_by(&host), active(&host)), (before.clone(), before));
    let resident: u64 = {
        let metrics = host.admin("/metrics").1;
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
        line.parse().unwrap()
    };
    assert!(resident < 512 << 20, "the host has {resident} bytes");
}
