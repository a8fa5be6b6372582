//! What the README has between its fences.

/// Commands, and what they are said to print.
pub(super) struct Block {
    /// As they are to be typed.
    pub(super) commands: String,
    /// What the README shows of the output.
    pub(super) shown: Option<String>,
}

/// The blocks of commands in their order. The next block belongs to one if it has no language: it is the output.
pub(super) fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut follows = false;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        match language {
            "sh" => blocks.push(Block { commands: text, shown: None }),
            "" if follows => blocks.last_mut().unwrap().shown = Some(text),
            _ => {}
        }
        follows = language == "sh";
    }
    blocks
}

#[test]
fn output_belongs_to_the_commands_before_it() {
    let found =
        blocks("```\na\n```\n```sh\nb\nc\n```\ntext\n```\nd\n```\n```\ne\n```\n```sh\nf\n```\n```rust\ng\n```\n");
    let found: Vec<_> = found.iter().map(|block| (block.commands.as_str(), block.shown.as_deref())).collect();
    assert_eq!(found, [("b\nc\n", Some("d\n")), ("f\n", None)]);
}
