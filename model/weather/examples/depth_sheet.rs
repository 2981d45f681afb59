//! Pictures of the estimated depth: `depth_sheet OUTDIR PHOTO..` writes `NAME.depth.png` (the natural logarithm of metres,
//! from 2 m black to 400 m white, 16 bits), `NAME.sky.png` and `NAME.haze-0.7.png`, `NAME.haze-1.png`.

use std::path::Path;
use std::time::Instant;

use image::{DynamicImage, ImageBuffer, Luma};
use mdsd3_weather::depth::estimate;
use mdsd3_weather::plane::Plane;
use mdsd3_weather::{Options, degrade};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("depth_sheet OUTDIR PHOTO..")?;
    for photo in arguments {
        let scene = image::open(&photo)?.into_rgb32f();
        let name = Path::new(&photo)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let start = Instant::now();
        let depth = estimate(&scene);
        println!(
            "{name}: {:.1} ms {:?}",
            start.elapsed().as_secs_f64() * 1e3,
            depth.notes
        );
        let path = |what: &str| format!("{folder}/{name}.{what}.png");
        save(&path("depth"), &depth.metres, |metres| {
            (metres / 2.0).ln() / 200_f32.ln()
        })?;
        save(&path("sky"), &depth.sky, |share| share)?;
        for severity in ["0.7", "1"] {
            let mix = format!("haze={severity}").parse()?;
            let hazy = degrade(&scene, &depth, &mix, 3, &Options::default())?;
            DynamicImage::from(hazy.image)
                .into_rgb8()
                .save(path(&format!("haze-{severity}")))?;
        }
    }
    Ok(())
}

fn save(path: &str, plane: &Plane, level: impl Fn(f32) -> f32) -> Result<(), Box<dyn std::error::Error>> {
    let values = plane
        .values
        .iter()
        .map(|value| (level(*value).clamp(0.0, 1.0) * 65535.0).round() as u16);
    let image =
        ImageBuffer::<Luma<u16>, _>::from_raw(plane.width as u32, plane.height as u32, values.collect::<Vec<_>>());
    image.ok_or("a plane has a value per pixel")?.save(path)?;
    Ok(())
}
