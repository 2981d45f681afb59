//! A SLURM array over a sweep's shards.

use super::sweep::Sweep;

/// What a cluster must know.
#[derive(Debug, Clone)]
pub struct SlurmOptions {
    /// Tasks of the array.
    pub shards: u32,
    /// Time limit of a task, as SLURM writes it, such as "04:00:00".
    pub time: String,
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

/// The script for `sbatch`.
///
/// A task that is preempted or whose node dies is queued again; it resumes, as every start of a shard does. SIGTERM comes
/// two minutes before the end, so that the pair in hand is finished.
pub fn script(sweep: &Sweep, options: &SlurmOptions) -> String {
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
# When all tasks have ended: {program} sweep {plan} -o {output} --merge
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
        pairs = sweep.len(),
        hash = sweep.hash(),
        last = shards.saturating_sub(1),
    )
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("my plan's.toml"), "'my plan'\\''s.toml'");
    }
}
