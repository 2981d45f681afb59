use super::*;

fn message(text: &str) -> String {
    let message = text.parse::<Mix>().expect_err(text).to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

#[test]
fn parses_prints_and_keeps_the_order() {
    for text in ["haze=0.8,rain=0.5", "rain=1,haze=0", "noise=1.5", ""] {
        assert_eq!(text.parse::<Mix>().expect(text).to_string(), text);
    }
    let mix: Mix = " haze = 0.80 , rain=5e-1".parse().expect("spaces and exponents");
    assert_eq!(mix.to_string(), "haze=0.8,rain=0.5");
    assert!((mix.ratio("haze") - 0.8).abs() < 1e-6);
    assert!(mix.ratio("snow").abs() < f32::EPSILON);
}

#[test]
fn refuses_bad_text_and_says_what_is_wrong() {
    assert!(message("rain=NaN").contains("ratio of rain is NaN"));
    assert!(message("rain=inf").contains("inf"));
    assert!(message("rain=-0.1").contains("-0.1"));
    assert!(message("rain=1.51").contains("1.51"));
    assert!(message("rain=0.5,haze=1,rain=1").contains("rain is given twice"));
    assert!(message("rain").contains("no '='"));
    assert!(message("=0.5").contains("names no class"));
    assert!(message("rain=0.5,").contains("names no class"));
    assert!(message("rain=much").contains("\"much\", which is not a number"));
    assert!(message("rain=").contains("not a number"));
    assert!(message("ra in=1").contains("letters"));
}

#[test]
fn set_replaces_in_place_and_validates() {
    let mut mix: Mix = "haze=0.8,rain=0".parse().expect("valid");
    mix.set("haze", 0.0).expect("valid");
    mix.set("rain", -0.0).expect("minus zero is zero");
    assert!(mix.is_clean());
    mix.set("snow", 0.3).expect("valid");
    assert_eq!(mix.to_string(), "haze=0,rain=0,snow=0.3");
    assert_eq!(mix.active().collect::<Vec<_>>(), [("snow", 0.3)]);
    assert!(mix.set("snow", 2.0).is_err() && mix.set("", 1.0).is_err());
}

#[test]
fn unknown_classes_are_named_with_the_nearest_known_one() {
    let known = ["rain".to_owned(), "haze".to_owned()];
    let error = |text: &str| {
        text.parse::<Mix>()
            .expect("valid")
            .check_classes(&known)
            .expect_err("unknown")
    };
    assert!(error("hase=1").is_bad_input());
    assert_eq!(
        error("rain=1,hase=1").to_string(),
        "unknown class hase, did you mean haze? (known classes: rain, haze)"
    );
    assert_eq!(
        error("blur=1").to_string(),
        "unknown class blur (known classes: rain, haze)"
    );
    assert!("haze=1".parse::<Mix>().expect("valid").check_classes(&known).is_ok());
}

#[test]
fn tables_keep_their_order_and_are_validated() {
    let json = r#"{"rain":0.5,"haze":0.8}"#;
    let mix: Mix = serde_json::from_str(json).expect("valid");
    assert_eq!(mix.to_string(), "rain=0.5,haze=0.8");
    assert_eq!(serde_json::to_string(&mix).expect("serialises"), json);
    let from_toml: Mix = toml::from_str("rain = 0.5\nhaze = 0.8\n").expect("valid");
    assert_eq!(from_toml, mix);
    let whole: Mix = toml::from_str("rain = 1\n").expect("integers are numbers");
    assert!((whole.ratio("rain") - 1.0).abs() < f32::EPSILON);
    for bad in [
        r#"{"rain":-1}"#,
        r#"{"rain":2}"#,
        r#"{"rain":1,"rain":1}"#,
        r#"{"":1}"#,
        r#"{"rain":"x"}"#,
        "[1]",
    ] {
        assert!(serde_json::from_str::<Mix>(bad).is_err(), "{bad}");
    }
}
