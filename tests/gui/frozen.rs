//! The preferences that an earlier studio has left (`tests/fixtures/preferences.ron`, as the window library stores them).

use std::path::PathBuf;

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_gui::Studio;
use mdsd3_gui::colormap::ColorMap;
use mdsd3_gui::prefs::{Prefs, Remembered};
use mdsd3_gui::state::queue::{Around, Photos};
use mdsd3_gui::theme::Look;
use mdsd3_words::lane::LaneKind;

use crate::support::{FakeEngine, WINDOW};

fn remembered() -> Remembered {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/preferences.ron");
    let text = std::fs::read_to_string(file).expect("the fixture");
    Prefs::of_file(&text).expect("a map of texts")
}

#[test]
fn earlier_preferences_are_read_whole() {
    let Remembered { prefs, is_damaged, .. } = remembered();
    assert!(!is_damaged);
    assert_eq!((prefs.look, prefs.color_map), (Look::Light, ColorMap::Cividis));
    assert!((prefs.flicker_secs - 1.5).abs() < 1e-9 && !prefs.seed_locked);
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(prefs.recent, paths(&["photo.png", "photos/雨 1.png", "photos/b.jpg"]));

    let own: Vec<_> = prefs.lanes.iter().map(|lane| lane.own.is_some()).collect();
    assert_eq!((own, prefs.selected_lane), (vec![false, true, false], 1));
    let lanes: Vec<_> = prefs.lanes.iter().map(|lane| (lane.id, lane.kind)).collect();
    let (sampled, physical) = (LaneKind::Sampled, LaneKind::Physical);
    assert_eq!(lanes, [(1, sampled), (4, sampled), (6, physical)]);
    assert_eq!(prefs.lanes[0].name.as_deref(), Some("北京 rain"));
    assert_eq!(prefs.lanes[2].classes.as_deref(), Some(&["rain".to_owned()][..]));

    let preset = &prefs.presets[0];
    assert_eq!((preset.name.as_str(), prefs.presets.len()), ("Drizzle \"fine\"", 1));
    assert_eq!(preset.sampling.mix.to_string(), "rain=0.3");
    assert_eq!(preset.sampling.curves[0].to_string(), "rain=1:1,0.5:0");
    assert_eq!(preset.sampling.head_ratios[0].to_string(), "1=0.25");
    assert!(
        preset.sampling.alpha.to_bits() == 0.875_f32.to_bits() && preset.sampling.beta.to_bits() == 0.125_f32.to_bits()
    );
    assert!(preset.sampling.start_at_noise_share);

    let form = &prefs.queue_form;
    assert_eq!(
        (form.around, form.photos, form.seeds),
        (Around::Grid, Photos::Folder, 12)
    );
    assert_eq!(
        (format!("{:?}", form.engine), form.root.as_str()),
        ("Physical".to_owned(), "sets/one")
    );
    assert_eq!(format!("{:?}", form.layout), "webdataset");
    assert_eq!(prefs.unfinished[0].plan, PathBuf::from("unfinished.toml"));
    assert_eq!(prefs.unfinished[0].folder, PathBuf::from("unfinished"));
}

#[test]
fn earlier_settings_are_those_of_the_studio() {
    let settings = remembered().prefs.settings;
    let own = remembered().prefs.lanes[1].own.clone().expect("a lane with its own");
    assert_eq!(settings.sampling.mix.to_string(), "rain=0.25,haze=0.5,noise=0,snow=1.5");
    assert_eq!(own.sampling.mix.to_string(), "rain=0,haze=0,noise=0.75,snow=0");
    assert_eq!((settings.sampling.steps, own.sampling.steps), (7, 3));
    for settings in [&settings, &*own] {
        assert_eq!(settings.scene.path, Some(PathBuf::from("photo.png")));
        assert_eq!(settings.sampling.alpha.to_bits(), 0.75_f32.to_bits());
        assert_eq!(settings.sampling.beta.to_bits(), 0.5_f32.to_bits());
        assert_eq!(settings.sampling.guidance.to_bits(), 1.75_f32.to_bits());
        assert!(settings.sampling.start_at_noise_share);
        assert_eq!((settings.sampling.seed, settings.scene.size), (u64::MAX, 64));
        assert_eq!(settings.sampling.sampler.name(), "heun");
        assert_eq!(
            format!("{:?} {:?}", settings.sampling.sampler_aid, settings.scene.fit),
            "MovingAverage Aspect"
        );
        assert_eq!(settings.sampling.curves[0].to_string(), "haze=1:1,0.5:1,0.3:0");
        assert_eq!(settings.sampling.head_ratios[0].to_string(), "2=0.5");
        assert_eq!(
            (settings.model.device.as_str(), settings.model.dtype.as_str()),
            ("cpu", "f32")
        );
    }
}

/// The studio shows what they say, with the panes where they were left: the Mixer is wider than at first.
#[test]
fn earlier_preferences_open_a_studio() {
    let width_of_slider = |is_layout_kept: bool| {
        let Remembered { prefs, layout, .. } = remembered();
        let link = FakeEngine::new();
        let mut harness = Harness::builder().with_size(WINDOW).build_eframe(move |cc| {
            let ctx = link.attached(&cc.egui_ctx);
            let studio = Studio::new(&ctx, Box::new(link), prefs, None);
            if is_layout_kept {
                studio.with_layout(layout)
            } else {
                studio
            }
        });
        harness.run();
        let after = harness.state().prefs();
        assert_eq!((after.lanes.len(), after.selected_lane, after.presets.len()), (3, 1, 1));
        assert_eq!(after.lanes[0].name.as_deref(), Some("北京 rain"));
        harness.get_by_role_and_label(Role::Slider, "steps").rect().width()
    };
    let (kept, first) = (width_of_slider(true), width_of_slider(false));
    assert!(kept > first + 40.0, "{kept} and {first} points");
}
