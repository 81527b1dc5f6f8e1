"""Small image files of every kind, and what Pillow, tifffile and pydicom read from them (right.json).

pip install pillow tifffile imagecodecs pydicom pylibjpeg pylibjpeg-openjpeg pylibjpeg-libjpeg pylibjpeg-rle numpy
"""
import json, struct, zlib
import imagecodecs
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.pixels import apply_modality_lut, apply_voi_lut, convert_color_space
import pydicom.uid as uid

rng = np.random.default_rng(14)
H, W = 6, 8
cases = []


def right(file, values, unit="pixel", within=2e-5, keys="", told=None):
    values = np.asarray(values, dtype=float)
    values = values[..., None] if values.ndim == 2 else values
    cases.append(dict(file=file, keys=keys, shape=list(values.shape), unit=unit, within=within, told=told,
                      values=[float(f"{v:.9g}") for v in values.ravel()]))


def refused(file, mend, keys=""):
    cases.append(dict(file=file, keys=keys, refused=mend))


def pillow(file, image, values, told=None, **options):
    image.save(file, **options)
    right(file, values, told=told)


grey = rng.integers(0, 256, (H, W), dtype=np.uint8)
colour = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
alpha = rng.integers(0, 255, (H, W), dtype=np.uint8)
bit = grey > 127
wide = rng.integers(0, 65536, (H, W), dtype=np.uint16)
wide[0, 0] = 65535
wide_colour = rng.integers(0, 65536, (H, W, 3), dtype=np.uint16)
twelve = rng.integers(0, 4096, (H, W), dtype=np.uint16)
twelve[0, 0] = 4095
ten = twelve // 4
few = Image.fromarray(colour).quantize(16)
few_values = np.array(few.convert("RGB"))

# PNG
pillow("grey.png", Image.fromarray(grey), grey)
pillow("wide.png", Image.fromarray(wide), wide / 257)
pillow("twelve.png", Image.fromarray(twelve), twelve / 4095 * 255, told="hold 12")
right("twelve.png", twelve / 257, keys="bits = 16")
pillow("ten.png", Image.fromarray(ten), ten / 1023 * 255)
cases.pop()
refused("ten.png", "bits = 8, 10, 12, 14 or 16")
right("ten.png", ten / 1023 * 255, keys="bits = 10")
refused("twelve.png", "values below 1024, as bits = 10 says", keys="bits = 10")
pillow("colour.png", Image.fromarray(colour), colour)
pillow("alpha.png", Image.fromarray(np.dstack([colour, alpha])), colour, told="alpha is dropped")
pillow("grey-alpha.png", Image.fromarray(np.dstack([grey, alpha])), grey, told="alpha is dropped")
pillow("bit.png", Image.fromarray(bit), bit * 255)
pillow("grey-as-colour.png", Image.fromarray(np.dstack([grey] * 3)), grey, told="grey again")
luminance = (colour @ np.array([299, 587, 114])) / 1000
right("colour.png", luminance, keys='colours = "grey"', told="become grey", within=2e-5)
right("grey.png", np.dstack([grey] * 3), keys='colours = "rgb"', told="copied to three")
pillow("palette.png", few, few_values)
for bits in (1, 2, 4):
    image = Image.fromarray(colour).quantize(2**bits)
    pillow(f"palette{bits}.png", image, np.array(image.convert("RGB")), bits=bits)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, kind, height=None, width=None):
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width or values.shape[1], height or values.shape[0], 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


open("wide-colour.png", "wb").write(png(wide_colour, 2))
right("wide-colour.png", wide_colour / 257)
open("bomb.png", "wb").write(png(wide, 0, 8000, 8000))
refused("bomb.png", "8000 x 8000 pixels in")
open("huge.png", "wb").write(png(wide, 0, 2**31 - 1, 2**31 - 1))
refused("huge.png", "limits are exceeded")
open("cut.png", "wb").write(open("grey.png", "rb").read()[:60])
refused("cut.png", "an undamaged PNG file")

# Resized while they are read, as Pillow resizes real numbers
for filter, name in [(Image.Resampling.BICUBIC, "bicubic"), (Image.Resampling.BILINEAR, "bilinear"), (Image.Resampling.NEAREST, "nearest")]:
    for rows, columns in [(4, 5), (10, 16)]:
        resized = np.array(Image.fromarray(grey).convert("F").resize((columns, rows), filter)).clip(0, 255)
        keys = f'resize = {{ shape = [{rows}, {columns}], resize = "{name}", fit = "squash" }}'
        right("grey.png", resized, keys=keys, within=1e-3, told=f"become {rows} x {columns}")
resized = np.array(Image.fromarray(grey).convert("F").resize((4, 3), Image.Resampling.BICUBIC))[:, :3].clip(0, 255)
right("grey.png", resized, keys="resize = [3, 3]", within=1e-3)
resized = np.array(Image.fromarray((wide / 257).astype(np.float32)).resize((4, 3), Image.Resampling.BICUBIC))[:, :3].clip(0, 255)
right("wide.png", resized, keys="resize = [3, 3]", within=1e-3, told="become 3 x 3")
resized = np.dstack([np.array(Image.fromarray(colour[..., k]).convert("F").resize((4, 3), Image.Resampling.BICUBIC))[:, :3] for k in range(3)])
right("colour.png", resized.clip(0, 255), keys="resize = [3, 3]", within=1e-3)

# JPEG: decoders round as they like
for name, values, options in [("grey", grey, {}), ("colour", colour, {}), ("progressive", colour, dict(progressive=True)),
                              ("even", colour, dict(subsampling=0)), ("grey-as-colour", np.dstack([grey] * 3), {})]:
    Image.fromarray(values).save(f"{name}.jpg", quality=95, **options)
    read = np.array(Image.open(f"{name}.jpg"))
    halved = name in ("colour", "progressive")
    right(f"{name}.jpg", read[..., 0] if name == "grey-as-colour" else read, within=24.0 if halved else 3.0, told="JPEG")
turned = Image.Exif()
turned[274] = 6
Image.fromarray(grey).save("turned.jpg", exif=turned, quality=95)
right("turned.jpg", np.array(Image.open("turned.jpg")), within=3.0, told="EXIF orientation")
Image.fromarray(colour).convert("CMYK").save("print.jpg")
refused("print.jpg", 'image.convert("RGB")')
# The ending says nothing.
open("really-jpeg.png", "wb").write(open("grey.jpg", "rb").read())
right("really-jpeg.png", np.array(Image.open("grey.jpg")), within=3.0)

# BMP
pillow("grey.bmp", Image.fromarray(grey), grey)
pillow("colour.bmp", Image.fromarray(colour), colour)
pillow("bit.bmp", Image.fromarray(bit), bit * 255)
pillow("palette.bmp", few, few_values)

# TIFF
for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
    pillow(f"grey-{name}.tif", Image.fromarray(grey), grey, compression=name)
pillow("colour.tif", Image.fromarray(colour), colour)
pillow("wide.tif", Image.fromarray(wide), wide / 257)
pillow("bit.tif", Image.fromarray(bit), bit * 255, compression="group4")
pillow("alpha.tif", Image.fromarray(np.dstack([colour, alpha])), colour, told="alpha is dropped")
tifffile.imwrite("white-is-zero.tif", grey, photometric="miniswhite")
right("white-is-zero.tif", 255 - grey.astype(int))
tifffile.imwrite("big-endian.tif", wide, byteorder=">")
right("big-endian.tif", wide / 257)
tifffile.imwrite("twelve.tif", twelve)
right("twelve.tif", twelve / 4095 * 255, told="hold 12")
tifffile.imwrite("pages.tif", np.stack([grey, grey[::-1]]), photometric="minisblack")
refused("pages.tif", "frame = N")
right("pages.tif", grey[::-1], keys="frame = 1")
tifffile.imwrite("real.tif", grey.astype(np.float32) / 255)
refused("real.tif", "whole numbers of 8 or 16 bits")
tifffile.imwrite("planes.tif", np.moveaxis(colour, 2, 0), photometric="rgb", planarconfig="separate")
refused("planes.tif", "save it as PNG")

# Others
Image.fromarray(grey).save("grey.gif")
refused("grey.gif", 'Image.open(IN).save("OUT.png")')
open("empty.png", "wb").close()
refused("empty.png", "found an empty file")


# DICOM
def dicom(values, kind="MONOCHROME2", bits=16, stored=12, signed=0, syntax=uid.ExplicitVRLittleEndian, **elements):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID = uid.CTImageStorage, "1.2.3.4", "1.2.3"
    ds.PatientID, ds.PatientSex, ds.PatientAge, ds.Modality = "p-7", "F", "045Y", "CT"
    colours = kind == "RGB" or kind.startswith("YBR")
    ds.Rows, ds.Columns = values.shape[-3:-1] if colours else values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 3 if colours else 1, kind
    if colours:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, stored, stored - 1, signed
    for key, value in elements.items():
        setattr(ds, key, value)
    ds.PixelData = values.astype(("<i" if signed else "<u") + str(bits // 8)).tobytes()
    ds["PixelData"].VR = "OW" if bits == 16 else "OB"
    return ds


def window(ds, centre, width):
    x, kind = apply_modality_lut(ds.pixel_array, ds).astype(float), ds.get("VOILUTFunction", "LINEAR")
    if kind == "LINEAR":
        y = np.clip((x - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
    elif kind == "LINEAR_EXACT":
        y = np.clip((x - centre) / width + 0.5, 0, 1) * 255
    else:
        y = 255 / (1 + np.exp(-4 * (x - centre) / width))
    return 255 - y if ds.PhotometricInterpretation == "MONOCHROME1" else y


def write(file, ds):
    dcmwrite(file, ds, enforce_file_format=True)


signed = rng.integers(-1024, 1024, (H, W))
ct = dict(WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-1024)
ds = dicom(twelve, **ct)
write("ct.dcm", ds)
refused("ct.dcm", 'values = "rescaled"')
right("ct.dcm", twelve - 1024.0, "HU", keys='values = "rescaled"', told="values in HU, from -1024 to 3071")
right("ct.dcm", window(ds, 40, 400), keys='values = "window"', told="its own window")
right("ct.dcm", window(ds, -600, 1500), keys='values = "window"\nwindow = [-600, 1500]')
right("ct.dcm", twelve / 4095 * 255, keys='values = "stored"')
for kind in ("LINEAR_EXACT", "SIGMOID"):
    ds = dicom(twelve, VOILUTFunction=kind, **ct)
    write(f"{kind.lower()}.dcm", ds)
    right(f"{kind.lower()}.dcm", window(ds, 40, 400), keys='values = "window"')
write("signed.dcm", dicom(signed, signed=1, RescaleSlope=2.5, RescaleIntercept=-10))
right("signed.dcm", signed * 2.5 - 10, "HU", keys='values = "rescaled"')
refused("signed.dcm", 'window = [CENTRE, WIDTH], in rescaled values (the file states none) or values = "rescaled"', keys='values = "stored"')
ds = dicom(twelve, "MONOCHROME1", WindowCenter=[2000, 100], WindowWidth=[3000, 50])
write("inverted.dcm", ds)
right("inverted.dcm", window(ds, 2000, 3000), keys='values = "window"', told="MONOCHROME1, which is inverted")
right("inverted.dcm", 255 - twelve / 4095 * 255, keys='values = "stored"')
refused("inverted.dcm", 'values = "window" or values = "stored"', keys='values = "rescaled"')
write("no-window.dcm", dicom(twelve))
refused("no-window.dcm", "window = [CENTRE, WIDTH]", keys='values = "window"')
right("no-window.dcm", twelve, "value", keys='values = "rescaled"')
for name, syntax in [("implicit", uid.ImplicitVRLittleEndian), ("deflated", uid.DeflatedExplicitVRLittleEndian),
                     ("big-endian", uid.ExplicitVRBigEndian)]:
    ds = dicom(twelve, syntax=syntax, **ct)
    if name == "big-endian":
        ds.PixelData = twelve.astype(">u2").tobytes()
    write(f"{name}.dcm", ds)
    right(f"{name}.dcm", twelve - 1024.0, "HU", keys='values = "rescaled"')
write("bytes.dcm", dicom(grey, bits=8, stored=8))
right("bytes.dcm", grey, keys='values = "stored"')
write("colour.dcm", dicom(colour, "RGB", 8, 8))
right("colour.dcm", colour)
ds = dicom(colour, "RGB", 8, 8, PlanarConfiguration=1)
ds.PixelData = np.moveaxis(colour, 2, 0).tobytes()
write("planes.dcm", ds)
right("planes.dcm", colour)
write("ybr.dcm", dicom(colour, "YBR_FULL", 8, 8))
right("ybr.dcm", convert_color_space(colour, "YBR_FULL", "RGB"), within=1.0)
write("frames.dcm", dicom(np.stack([twelve, twelve[::-1]]), NumberOfFrames=2))
refused("frames.dcm", "frame = N", keys='values = "rescaled"')
right("frames.dcm", twelve[::-1], "value", keys='values = "rescaled"\nframe = 1')
refused("frames.dcm", "frame 2 of 2 frames", keys='values = "rescaled"\nframe = 2')
table = np.sort(rng.integers(0, 4096, 300))


def lut(first, bits):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(table), first, bits], [int(v) for v in table]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return item


ds = dicom(rng.integers(0, 400, (H, W)), Modality="DX", VOILUTSequence=[lut(50, 12)])
write("grey-levels.dcm", ds)
right("grey-levels.dcm", apply_voi_lut(ds.pixel_array, ds) / 4095 * 255, keys='values = "window"', told="VOI LUT")
ds = dicom(rng.integers(0, 400, (H, W)), Modality="DX", ModalityLUTSequence=[lut(50, 16)])
write("modality-table.dcm", ds)
right("modality-table.dcm", apply_modality_lut(ds.pixel_array, ds), "value", keys='values = "rescaled"')


def compressed(file, frames, syntax, values, keys='values = "rescaled"', within=2e-5, unit="value", **options):
    ds = dicom(np.asarray(values).astype(int), syntax=syntax, **options)
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    write(file, ds)
    if values is not None:
        right(file, values, unit if keys else "pixel", keys=keys, within=within)


smooth = (np.add.outer(np.arange(H), np.arange(W)) * 200 + rng.integers(0, 50, (H, W))).astype(np.uint16)
byte = dict(bits=8, stored=8)
ds = dicom(smooth)
ds.compress(uid.RLELossless)
write("rle.dcm", ds)
right("rle.dcm", smooth, "value", keys='values = "rescaled"')
ds = dicom(colour, "RGB", 8, 8)
ds.compress(uid.RLELossless)
write("rle-colour.dcm", ds)
right("rle-colour.dcm", colour)
jpeg = imagecodecs.jpeg_encode(grey, level=95)
compressed("jpeg.dcm", [jpeg], uid.JPEGBaseline8Bit, imagecodecs.jpeg_decode(jpeg), within=1.0, **byte)
jpeg = imagecodecs.jpeg_encode(colour, level=95)
compressed("jpeg-colour.dcm", [jpeg], uid.JPEGBaseline8Bit, imagecodecs.jpeg_decode(jpeg), "", 24.0, kind="YBR_FULL_422", **byte)
for bits, values in [(12, smooth), (16, wide)]:
    lossless = imagecodecs.ljpeg_encode(values, bitspersample=bits)
    compressed(f"lossless{bits}.dcm", [lossless], uid.JPEGLosslessSV1, values, stored=bits)


def jpeg2000(values, **options):
    return imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k", reversible=True, resolutions=1, **options)


compressed("jpeg2000.dcm", [jpeg2000(smooth, bitspersample=12)], uid.JPEG2000Lossless, smooth)
compressed("jpeg2000-signed.dcm", [jpeg2000(signed.astype(np.int16))], uid.JPEG2000Lossless, signed, stored=16, signed=1)
compressed("jpeg2000-colour.dcm", [jpeg2000(colour)], uid.JPEG2000Lossless, colour, "", kind="YBR_RCT", **byte)
frames = [jpeg2000(smooth + i, bitspersample=12) for i in range(3)]
compressed("jpeg2000-frames.dcm", frames, uid.JPEG2000Lossless, smooth + 2, 'values = "rescaled"\nframe = 2', NumberOfFrames=3)
compressed("jpeg-ls.dcm", [imagecodecs.jpegls_encode(smooth)], uid.JPEGLSLossless, smooth)
cases.pop()
refused("jpeg-ls.dcm", "JPEG-LS lossless", keys='values = "rescaled"')
ds = dicom(signed, "MONOCHROME1", signed=1, WindowCenter=0, WindowWidth=1500)
write("signed-inverted.dcm", ds)
right("signed-inverted.dcm", window(ds, 0, 1500), keys='values = "window"')
refused("signed-inverted.dcm", 'inverts it: values = "window"', keys='values = "rescaled"')
refused("signed-inverted.dcm", 'expected values = "window"', keys='values = "stored"')
write("colour-frames.dcm", dicom(np.stack([colour, colour[::-1]]), "RGB", 8, 8, NumberOfFrames=2))
right("colour-frames.dcm", colour[::-1], keys="frame = 1")


def group(**elements):
    item = Dataset()
    for key, value in elements.items():
        setattr(item, key, value)
    return [item]


# Enhanced: slope and window of each frame, or of all.
ds = dicom(np.stack([twelve, twelve[::-1]]), NumberOfFrames=2)
frames = []
for slope, intercept, centre in [(1, -1024, 40), (2, -500, 300)]:
    frames += group(PixelValueTransformationSequence=group(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU"),
                    FrameVOILUTSequence=group(WindowCenter=centre, WindowWidth=400))
ds.PerFrameFunctionalGroupsSequence = frames
write("enhanced.dcm", ds)
right("enhanced.dcm", twelve - 1024.0, "HU", keys='values = "rescaled"\nframe = 0')
right("enhanced.dcm", twelve[::-1] * 2.0 - 500, "HU", keys='values = "rescaled"\nframe = 1')
shown = np.clip((twelve[::-1] * 2.0 - 500 - 299.5) / 399 + 0.5, 0, 1) * 255
right("enhanced.dcm", shown, keys='values = "window"\nframe = 1')
del ds.PerFrameFunctionalGroupsSequence
ds.SharedFunctionalGroupsSequence = frames[1:]
write("enhanced-shared.dcm", ds)
right("enhanced-shared.dcm", twelve * 2.0 - 500, "HU", keys='values = "rescaled"\nframe = 0')


# What contradicts itself, or is said in another place than usual.
other = np.random.default_rng(15)
field = other.integers(0, 4096, (H, W))
inverse = dict(WindowCenter=2000, WindowWidth=3000, PresentationLUTShape="INVERSE")
ds = dicom(field, "MONOCHROME1", **inverse)
write("inverse.dcm", ds)
right("inverse.dcm", window(ds, 2000, 3000), keys='values = "window"', told="MONOCHROME1, which is inverted")
write("turned.dcm", dicom(field, **inverse))
refused("turned.dcm", "del ds.PresentationLUTShape", keys='values = "window"')
right("turned.dcm", field, "value", keys='values = "rescaled"')
for name, one in [("slope", dict(RescaleSlope=2)), ("intercept", dict(RescaleIntercept=-1024))]:
    write(f"{name}-alone.dcm", dicom(field, WindowCenter=40, WindowWidth=400, **one))
    for values in ("rescaled", "window"):
        refused(f"{name}-alone.dcm", 'ds.save_as(..), or values = "stored"', keys=f'values = "{values}"')
    right(f"{name}-alone.dcm", field / 4095 * 255, keys='values = "stored"')
around = other.integers(-1024, 1024, (H, W))
around[0] = -2000
ds = dicom(around, signed=1, RescaleSlope=1, RescaleIntercept=-24, PixelPaddingValue=-2000, WindowCenter=[40, -600], WindowWidth=[400, 1500])
ds["PixelPaddingValue"].VR = "SS"
write("padded.dcm", ds)
right("padded.dcm", apply_modality_lut(ds.pixel_array, ds), "HU", keys='values = "rescaled"', told="PixelPaddingValue")
right("padded.dcm", window(ds, 40, 400), keys='values = "window"', told="several windows")
# A table of grey levels goes before the numbers of a window, as apply_voi_lut has it; it follows the slope.
ds = dicom(other.integers(-200, 200, (H, W)), "MONOCHROME1", signed=1, Modality="DX", RescaleSlope=1, RescaleIntercept=-20,
           WindowCenter=0, WindowWidth=100, VOILUTSequence=[lut(-150, 12)])
ds.VOILUTSequence[0]["LUTDescriptor"].VR = "SS"
write("signed-levels.dcm", ds)
levels = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds).astype(np.int16), ds)
right("signed-levels.dcm", 255 - levels / 4095 * 255, keys='values = "window"', told="VOI LUT")
# Another size, for tests/image_sizes.rs.
tall = other.integers(0, 256, (9, 7), dtype=np.uint8)
pillow("tall.png", Image.fromarray(tall), tall)

whole = open("ct.dcm", "rb").read()
open("cut.dcm", "wb").write(whole[:-20])
refused("cut.dcm", "are left", keys='values = "rescaled"')

json.dump(cases, open("right.json", "w"), separators=(",", ":"))
print(len(cases), "cases")
