//! Constants and polynomials.
//!
//! Every polynomial is a minimax fit with the weight that makes the error relative to the function's
//! value (Lawson's algorithm in extended precision, then rounded), highest power first.

// A polynomial's coefficient may come close to a known constant without being it.
#![allow(clippy::approx_constant)]

/// The constants of one element type.
pub trait Tables: Sized + 'static {
    /// Above it, exp overflows.
    const EXP_MAX: Self;
    /// Below it, exp is 0.
    const EXP_MIN: Self;
    /// Above it, exp2 overflows.
    const EXP2_MAX: Self;
    /// Below it, exp2 is 0.
    const EXP2_MIN: Self;
    /// Below it, expm1 is -1.
    const EXPM1_MIN: Self;
    /// Above it, tanh is 1.
    const TANH_MAX: Self;
    /// ln 2 in two parts.
    const LN_2: [Self; 2];
    /// 1 / ln 2 in two parts.
    const LOG2_E: [Self; 2];
    /// 1 / ln 10 in two parts.
    const LOG10_E: [Self; 2];
    /// ln 2 / ln 10 in two parts.
    const LOG10_2: [Self; 2];
    /// pi / 2 in three parts.
    const FRAC_PI_2: [Self; 3];
    /// 2 / pi
    const FRAC_2_PI: Self;
    /// Up to it, three parts of pi / 2 are enough.
    const TRIG_MAX: Self;
    /// (exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2
    const EXP: &'static [Self];
    /// The same, fitted relative to exp(r) - 1.
    const EXPM1: &'static [Self];
    /// (2**r - 1) / r for |r| <= 1/2
    const EXP2: &'static [Self];
    /// (2 atanh(s) - 2 s) / s**3 in s**2, for -1/7 <= s <= 1/5
    const ATANH: &'static [Self];
    /// (sin(r) - r) / r**3 in r**2, for |r| <= pi / 4
    const SIN: &'static [Self];
    /// (cos(r) - 1 + r**2 / 2) / r**4 in r**2, for |r| <= pi / 4
    const COS: &'static [Self];
    /// Up to it, erf is a polynomial.
    const ERF_SMALL: Self;
    /// Above it, erf is 1.
    const ERF_MAX: Self;
    /// (erf(x) - x) / x in x**2, for |x| <= `ERF_SMALL`
    const ERF: &'static [Self];
    /// -ln(erfc(2 + u)), for `ERF_SMALL` <= 2 + u <= `ERF_MAX`
    const LN_ERFC: &'static [Self];
}

impl Tables for f32 {
    const EXP_MAX: f32 = 89.0;
    const EXP_MIN: f32 = -104.5;
    const EXP2_MAX: f32 = 129.0;
    const EXP2_MIN: f32 = -151.0;
    const EXPM1_MIN: f32 = -18.0;
    const TANH_MAX: f32 = 10.0;
    const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_2e-9];
    const LOG2_E: [f32; 2] = [std::f32::consts::LOG2_E, 1.925_963e-8];
    const LOG10_E: [f32; 2] = [std::f32::consts::LOG10_E, -1.010_305e-8];
    const LOG10_2: [f32; 2] = [std::f32::consts::LOG10_2, -1.432_098_9e-8];
    const FRAC_PI_2: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];
    const FRAC_2_PI: f32 = std::f32::consts::FRAC_2_PI;
    const TRIG_MAX: f32 = 1e5;
    const EXP: &'static [f32] =
        &[0.001_381_453_8, 0.008_368_745, 0.041_668_39, 0.166_665_21, 0.499_999_94];
    const EXPM1: &'static [f32] =
        &[0.001_394_649_4, 0.008_366_611, 0.041_666_28, 0.166_665_43, 0.5];
    const EXP2: &'static [f32] = &[
        0.000_153_532_98,
        0.001_339_895_2,
        0.009_618_438,
        0.055_503_324,
        0.240_226_48,
        0.693_147_2,
    ];
    const ATANH: &'static [f32] = &[0.241_034_85, 0.285_067_95, 0.400_008_68, 0.666_666_6];
    const SIN: &'static [f32] = &[2.718_046_3e-6, -0.000_198_393_04, 0.008_333_329, -0.166_666_67];
    const COS: &'static [f32] = &[-2.720_504_4e-7, 2.479_945_2e-5, -0.001_388_888_4, 0.041_666_668];
    const ERF_SMALL: f32 = 0.9;
    const ERF_MAX: f32 = 4.0;
    const ERF: &'static [f32] = &[
        8.513_102_5e-5,
        -0.000_817_563_9,
        0.005_203_859,
        -0.026_860_509,
        0.112_837_15,
        -0.376_126_35,
        0.128_379_17,
    ];
    const LN_ERFC: &'static [f32] = &[
        7.374_566e-7,
        2.311_065_3e-5,
        -0.000_137_895_67,
        0.000_728_438_8,
        -0.003_571_353_2,
        0.016_466_085,
        0.923_751_2,
        4.418_161,
        5.364_941,
    ];
}

impl Tables for f64 {
    const EXP_MAX: f64 = 710.0;
    const EXP_MIN: f64 = -746.0;
    const EXP2_MAX: f64 = 1025.0;
    const EXP2_MIN: f64 = -1076.0;
    const EXPM1_MIN: f64 = -38.0;
    const TANH_MAX: f64 = 20.0;
    const LN_2: [f64; 2] = [std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17];
    const LOG2_E: [f64; 2] = [std::f64::consts::LOG2_E, 2.035_527_374_093_103_3e-17];
    const LOG10_E: [f64; 2] = [std::f64::consts::LOG10_E, 1.098_319_650_216_765e-17];
    const LOG10_2: [f64; 2] = [std::f64::consts::LOG10_2, -2.803_728_127_785_170_4e-18];
    const FRAC_PI_2: [f64; 3] =
        [std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17, -1.497_384_905_065_873e-33];
    const FRAC_2_PI: f64 = std::f64::consts::FRAC_2_PI;
    const TRIG_MAX: f64 = 1e9;
    const EXP: &'static [f64] = &[
        2.500_042_687_172_869_5e-08,
        2.763_030_477_958_55e-07,
        2.755_758_552_448_001_6e-06,
        2.480_149_295_221_567e-05,
        0.000_198_412_695_071_987_92,
        0.001_388_888_894_375_937_3,
        0.008_333_333_333_494_309,
        0.041_666_666_666_529_72,
        0.166_666_666_666_664_13,
        0.500_000_000_000_001_1,
    ];
    const EXPM1: &'static [f64] = &[
        2.090_911_920_245_554_4e-09,
        2.510_932_275_388_303_3e-08,
        2.755_729_576_832_206_4e-07,
        2.755_724_334_727_278_7e-06,
        2.480_158_729_310_738_4e-05,
        0.000_198_412_698_870_443_93,
        0.001_388_888_888_890_466_2,
        0.008_333_333_333_321_228,
        0.041_666_666_666_666_616,
        0.166_666_666_666_666_77,
        0.5,
    ];
    const EXP2: &'static [f64] = &[
        2.556_966_776_052_805e-11,
        4.456_804_300_278_670_5e-10,
        7.055_019_625_989_065e-09,
        1.017_805_028_249_693_1e-07,
        1.321_548_645_851_233_7e-06,
        1.525_273_385_861_145_6e-05,
        0.000_154_035_303_938_241_29,
        0.001_333_355_814_638_787_5,
        0.009_618_129_107_628_236,
        0.055_504_108_664_821_71,
        0.240_226_506_959_100_72,
        0.693_147_180_559_945_3,
    ];
    const ATANH: &'static [f64] = &[
        0.138_448_515_974_672_25,
        0.131_733_264_842_629_4,
        0.153_911_285_105_658_82,
        0.181_816_653_583_110_36,
        0.222_222_243_052_303_1,
        0.285_714_285_557_511_27,
        0.400_000_000_000_569_8,
        0.666_666_666_666_666,
    ];
    const SIN: &'static [f64] = &[
        -7.574_958_390_777_302e-13,
        1.605_829_759_066_337_6e-10,
        -2.505_210_443_398_950_5e-08,
        2.755_731_921_263_362e-06,
        -0.000_198_412_698_412_523_45,
        0.008_333_333_333_333_32,
        -0.166_666_666_666_666_66,
    ];
    const COS: &'static [f64] = &[
        4.708_229_208_346_671e-14,
        -1.146_956_339_425_621_2e-11,
        2.087_674_710_626_789_3e-09,
        -2.755_731_917_775_952_6e-07,
        2.480_158_730_146_426e-05,
        -0.001_388_888_888_888_871_4,
        0.041_666_666_666_666_664,
    ];
    const ERF_SMALL: f64 = 1.0;
    const ERF_MAX: f64 = 5.95;
    const ERF: &'static [f64] = &[
        5.947_351_174_936_61e-11,
        -1.136_703_927_256_284_9e-09,
        1.465_827_519_171_615e-08,
        -1.635_009_054_051_623e-07,
        1.646_097_963_293_875_2e-06,
        -1.492_559_397_260_968_9e-05,
        0.000_120_553_310_577_971_78,
        -0.000_854_832_697_934_360_7,
        0.005_223_977_624_791_421,
        -0.026_866_170_645_073_947,
        0.112_837_916_709_548_64,
        -0.376_126_389_031_837_5,
        0.128_379_167_095_512_6,
    ];
    const LN_ERFC: &'static [f64] = &[
        -1.050_864_740_689_412_7e-12,
        1.018_464_369_799_274_7e-11,
        -3.743_897_128_489_773_7e-11,
        4.276_747_173_993_186e-11,
        2.748_391_482_343_955e-10,
        -2.538_487_877_852_329e-09,
        1.394_947_359_473_260_7e-08,
        -5.779_802_014_917_351e-08,
        1.732_061_586_816_282_8e-07,
        -2.036_417_768_819_486_5e-07,
        -1.952_194_523_624_744_7e-06,
        2.070_643_213_805_625e-05,
        -0.000_135_309_334_537_567_34,
        0.000_732_399_385_868_827_7,
        -0.003_570_756_346_172_474_4,
        0.016_465_118_136_849_748,
        0.923_750_841_823_804_5,
        4.418_160_805_994_418,
        5.364_941_264_616_638,
    ];
}
