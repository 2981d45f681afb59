//! What to do about a message of a library that only says what went wrong.

/// Words by which the graphics libraries and the system say that memory ran out.
const OUT_OF_MEMORY: [&str; 4] = ["out of memory", "out_of_memory", "cannot allocate", "memory allocation"];

/// Whether a message is about memory that ran out.
pub fn is_out_of_memory(message: &str) -> bool {
    let lower = message.to_lowercase();
    OUT_OF_MEMORY.iter().any(|words| lower.contains(words))
}

/// The message with what to do about it, where that is known.
pub fn advised(message: String) -> String {
    if is_out_of_memory(&message) && !message.contains("choose") {
        return format!(
            "{message}; choose a smaller size, bf16 or fewer lanes, or run the third text encoder from another folder or not \
             at all"
        );
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_comes_with_advice_once() {
        let message = advised("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".to_owned());
        assert!(message.contains("bf16") && message.lines().count() == 1, "{message}");
        assert_eq!(advised(message.clone()), message);
        assert_eq!(advised("no such file".to_owned()), "no such file");
    }
}
