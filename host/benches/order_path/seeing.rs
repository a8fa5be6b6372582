//! What it costs to look: a candidate beside inventory, and one order in a hundred in a trace whose spans are exported. Each beside a plain
//! run, in turn. Which comes first changes from round to round: whatever comes after another leaves the machine as that left it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::app::Stage;
use crate::asked::Asked;
use crate::ground::On;
use crate::measure::median;
use crate::orders::Backlog;
use crate::throughput::{head, rate, row, threads};
use crate::worker::{Kind, run};

/// How many orders there are to one that is sampled.
const SAMPLED_OF: usize = 100;

/// Rounds of all three, after one run of each that does not count.
pub(crate) fn seeing(stage: &Stage, asked: &Asked) {
    let plain = Backlog { orders: asked.orders, sampled_of: None };
    let sampled = Backlog { sampled_of: Some(SAMPLED_OF), ..plain };
    println!("\n## Looking: {} orders, {} events\n", plain.orders, plain.events());
    head();
    let kinds = [(Kind::Spanned, sampled), (Kind::Sandboxed, plain), (Kind::Shadowed, plain)];
    let mut rates = [const { Vec::new() }; 3];
    let mut beside = Vec::new();
    for round in 0..=asked.rounds {
        for turn in 0..kinds.len() {
            let at = (round + turn) % kinds.len();
            let ((kind, backlog), rates) = (kinds[at], &mut rates[at]);
            let run = run(stage, On::Kafka, kind, backlog);
            row(if round == 0 { "warm-up " } else { "" }, On::Kafka, kind, &run);
            threads(&run);
            if round > 0 {
                rates.push(rate(&run));
                beside.extend(run.beside);
            }
        }
    }
    let [spanned, plain, shadowed] = &rates;
    let ratios = |of: &[f64]| of.iter().zip(plain).map(|(a, b)| a / b).collect::<Vec<f64>>();
    for (what, of) in [("a candidate beside inventory", shadowed), ("one order in a hundred recorded", spanned)] {
        let ratios = ratios(of);
        let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
        println!("\nThroughput with {what}, to that without: median {:.3} ({})", median(&ratios), each.join(", "));
    }
    for (same, passed_over) in beside {
        println!("the candidate did the same with {same} events, and was passed over by {passed_over}");
    }
}

/// Takes whatever is sent, and says where.
pub(crate) fn collector() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(|stream| drop(answer(stream))));
    url
}

/// Answers requests until the other side closes.
fn answer(stream: TcpStream) -> std::io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
