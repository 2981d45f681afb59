//! A SLURM array over a sweep's shards.

use std::fmt;
use std::str::FromStr;

use crate::sweep::Sweep;

/// Most digits of a number in a time limit.
const TIME_DIGITS: usize = 6;

/// A time limit as SLURM writes it: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or
/// days-hours:minutes:seconds (sbatch's manual page, `--time`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimit(String);

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_number =
            |part: &str| (1..=TIME_DIGITS).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let (days, rest) = match text.split_once('-') {
            Some((days, rest)) => (Some(days), rest),
            None => (None, text),
        };
        if days.is_none_or(is_number) && rest.split(':').count() <= 3 && rest.split(':').all(is_number) {
            return Ok(Self(text.to_owned()));
        }
        Err("give HH:MM:SS or D-HH:MM:SS, such as 04:00:00".to_owned())
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a cluster must know.
#[derive(Debug, Clone)]
pub struct SlurmOptions {
    /// Tasks of the array.
    pub shards: u32,
    /// Time limit of a task.
    pub time: TimeLimit,
    /// GPUs of a task.
    pub gpus: u32,
    /// Processor cores of a task.
    pub cores: u32,
    /// The program, as the compute nodes find it.
    pub program: String,
    /// The plan, as the compute nodes find it.
    pub plan: String,
    /// The output folder, as the compute nodes find it.
    pub output: String,
}

/// The script for `sbatch`. Paths are in it as quoted words of its last line alone: a line break in one would end a comment.
///
/// A task that is preempted or whose node dies is queued again; it resumes, as every start of a shard does. SIGTERM comes
/// two minutes before the end, so that the pair in hand is finished.
pub fn script(sweep: &Sweep, options: &SlurmOptions) -> String {
    script_of(sweep.hash(), sweep.len(), options)
}

fn script_of(hash: &str, pairs: usize, options: &SlurmOptions) -> String {
    let SlurmOptions {
        shards,
        time,
        gpus,
        cores,
        ..
    } = options;
    let gpus = if *gpus == 0 {
        String::new()
    } else {
        format!("#SBATCH --gres=gpu:{gpus}\n")
    };
    let [program, plan, output] = [&options.program, &options.plan, &options.output].map(|text| quoted(text));
    format!(
        "#!/bin/bash
# {pairs} pairs in {shards} shards. Start: sbatch THIS_FILE
# When all tasks have ended: the command of the last line, with --merge in place of --shard and what follows.
#SBATCH --job-name=mdsd3-{hash:.8}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cores}
{gpus}#SBATCH --time={time}
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
#SBATCH --output=mdsd3-{hash:.8}-%a.log
set -eu
exec {program} sweep {plan} -o {output} --shard \"$SLURM_ARRAY_TASK_ID/{shards}\" --resume
",
        last = shards.saturating_sub(1),
    )
}

/// A word for the shell, quoted where it must be: for people to copy.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/-+=:,@%".contains(c);
    if text.starts_with(is_plain) && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A word for the shell, quoted.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn words_for_people_are_quoted_where_they_must_be() {
        assert_eq!(word("out/a-1.sbatch"), "out/a-1.sbatch");
        assert_eq!(word("out 100% #1.sbatch"), "'out 100% #1.sbatch'");
        assert_eq!(word("plan's"), "'plan'\\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn time_limits_are_those_of_slurm() {
        for text in ["90", "90:30", "04:00:00", "2-12", "2-12:30", "1-00:00:00"] {
            assert_eq!(text.parse::<TimeLimit>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "4h",
            "1:2:3:4",
            "1-2-3",
            "-1",
            "1-",
            "04:00:00\n#SBATCH --uid=0",
            "1 --wrap=x",
            "１",
        ] {
            assert!(text.parse::<TimeLimit>().is_err(), "{text:?}");
        }
    }

    /// The script is run by bash with a program that writes its words to a file: nothing of them may run as a command.
    #[test]
    fn paths_reach_the_shell_as_words_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let written = folder.path().join("words");
        let program = folder.path().join("a program's $(touch hit1)\n`touch hit2`");
        let text = format!(
            "#!/bin/bash\nprintf '%s\\0' \"$@\" > {}\n",
            quoted(&written.to_string_lossy())
        );
        std::fs::write(&program, text).expect("written");
        let plan = "my plan's.toml\ntouch hit3 #";
        let options = SlurmOptions {
            shards: 4,
            time: "04:00:00".parse().expect("a time limit"),
            gpus: 0,
            cores: 2,
            program: program.to_string_lossy().into_owned(),
            plan: plan.to_owned(),
            output: "out\n#SBATCH --uid=0\ntouch hit4".to_owned(),
        };
        let script = script_of("0123456789abcdef", 8, &options);
        let comments = script.lines().take_while(|line| line.starts_with('#'));
        assert!(
            comments.clone().count() > 8 && comments.clone().all(|line| !line.contains("--uid")),
            "{script}"
        );
        let set_mode = Command::new("chmod")
            .arg("+x")
            .arg(&program)
            .status()
            .expect("chmod runs");
        let ended = Command::new("bash")
            .args(["-c", &script])
            .env("SLURM_ARRAY_TASK_ID", "3")
            .current_dir(folder.path())
            .status();
        assert!(set_mode.success() && ended.expect("bash runs").success());
        let words = std::fs::read_to_string(&written).expect("its words");
        let words: Vec<&str> = words.trim_end_matches('\0').split('\0').collect();
        let expected = [
            "sweep",
            plan,
            "-o",
            options.output.as_str(),
            "--shard",
            "3/4",
            "--resume",
        ];
        assert_eq!(words, expected);
        let hits = std::fs::read_dir(folder.path()).expect("a folder").flatten();
        assert!(
            !hits
                .into_iter()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("hit"))
        );
    }
}
