"""A member of a call by LiveKit's own Python SDK: shows one colour, sounds one tone, and tells what it sees.

Prints one JSON object per line: joined, subscribed, picture, tone, data, receives, reported, kept (connection state) and
ended. Reads commands, one JSON object per line: {"do": "say", "text": ...}, {"do": "caption", "of": identity, "id": ...,
"text": ...}, {"do": "report"} (answered by receives for each track, then reported), {"do": "leave"}. The end of its input means leave.
"""

import argparse
import asyncio
import colorsys
import json
import sys
import traceback

import numpy as np
from livekit import rtc

HUES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "magenta": 300}
WIDTH, HEIGHT, FPS = 640, 360, 15
RATE = 48_000


def tell(event: str, **what: object) -> None:
    print(json.dumps({"event": event, **what}), flush=True)


def colour_name(rgb: np.ndarray) -> str:
    """The nearest named hue of a picture's average, or 'none' when it is grey or dark."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(rgb / 255))
    if saturation < 0.3 or value < 0.2:
        return "none"
    return min(HUES, key=lambda name: abs((HUES[name] - hue * 360 + 180) % 360 - 180))


async def show(source: rtc.VideoSource, colour: str) -> None:
    rgb = [round(part * 255) for part in colorsys.hsv_to_rgb(HUES[colour] / 360, 1, 0.8)]
    step = 0
    while True:
        picture = np.empty((HEIGHT, WIDTH, 4), np.uint8)
        picture[:] = (*rgb, 255)
        at = step * 8 % (WIDTH - 24)
        picture[:, at : at + 24] = 255
        source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, picture.tobytes()))
        step += 1
        await asyncio.sleep(1 / FPS)


async def sent(track: rtc.LocalTrack) -> None:
    """Waits until the track is on its way: everything about it has been negotiated."""
    while True:
        for stat in await track.get_stats():
            if stat.WhichOneof("stats") == "outbound_rtp" and stat.outbound_rtp.sent.packets_sent > 0:
                return
        await asyncio.sleep(0.1)


async def sound(source: rtc.AudioSource, hz: int) -> None:
    samples = RATE // 100
    step = 0
    while True:
        times = (np.arange(samples) + step * samples) / RATE
        wave = (np.sin(2 * np.pi * hz * times) * 12_000).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(wave.tobytes(), RATE, 1, samples))
        step += 1


async def look(track: rtc.Track, identity: str) -> None:
    """Tells the colour of another member's picture whenever it changes, and that it goes on."""
    frames = 0
    last = None
    async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.RGB24):
        frame = event.frame
        frames += 1
        pixels = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 3)
        colour = colour_name(np.median(pixels[:: 8, ::8].reshape(-1, 3), axis=0))
        if colour != last or frames % 30 == 0:
            tell("picture", of=identity, colour=colour, frames=frames, width=frame.width, height=frame.height)
        last = colour


async def listen(track: rtc.Track, identity: str) -> None:
    """Tells the loudest tone of another member's sound, twice a second."""
    heard = np.empty(0, np.int16)
    async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
        heard = np.concatenate([heard, np.frombuffer(event.frame.data, np.int16)])
        if len(heard) >= RATE // 2:
            window = heard[: RATE // 2] * np.hanning(RATE // 2)
            loudness = float(np.sqrt(np.mean(np.square(window))))
            hz = float(np.argmax(np.abs(np.fft.rfft(window)))) * 2
            tell("tone", of=identity, hz=hz if loudness > 100 else 0.0, loudness=round(loudness))
            heard = heard[RATE // 2 :]


async def report(room: rtc.Room) -> None:
    """Tells how far every track got on its way here: packets that came, pictures put together, pictures decoded."""
    for participant in list(room.remote_participants.values()):
        for publication in list(participant.track_publications.values()):
            of, kind = participant.identity, rtc.TrackKind.Name(publication.kind)
            if publication.track is None:
                tell("receives", of=of, kind=kind, subscribed=publication.subscribed)
                continue
            for stat in await publication.track.get_stats():
                if stat.WhichOneof("stats") != "inbound_rtp":
                    continue
                line, came = stat.inbound_rtp.inbound, stat.inbound_rtp.received
                what = {"mid": line.mid, "packets": came.packets_received, "lost": came.packets_lost}
                if publication.kind == rtc.TrackKind.KIND_VIDEO:
                    what |= {
                        "received": line.frames_received,
                        "decoded": line.frames_decoded,
                        "keys": line.key_frames_decoded,
                        "dropped": line.frames_dropped,
                        "width": line.frame_width,
                        "plis": line.pli_count,
                        "nacks": line.nack_count,
                        "decoder": line.decoder_implementation,
                    }
                tell("receives", of=of, kind=kind, **what)
    tell("reported")


async def commands(room: rtc.Room) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        if command["do"] == "leave":
            return
        if command["do"] == "report":
            await report(room)
        if command["do"] == "say":
            await room.local_participant.publish_data(command["text"], topic="words")
        if command["do"] == "caption":
            segment = rtc.TranscriptionSegment(
                id=command["id"], text=command["text"], start_time=0, end_time=0, language="en", final=True
            )
            said = rtc.Transcription(participant_identity=command["of"], track_sid="", segments=[segment])
            await room.local_participant.publish_transcription(said)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--colour", choices=HUES)
    parser.add_argument("--hz", type=int)
    parser.add_argument("--codec", choices=["h264", "vp8"], default="h264")
    parser.add_argument("--connections", choices=["one", "two"], default="one")
    parser.add_argument("--subscribe", choices=["at-once", "after-publishing"], default="at-once")
    asked = parser.parse_args()

    room = rtc.Room()
    tasks: set[asyncio.Task] = set()

    def ended(task: asyncio.Task) -> None:
        if not task.cancelled() and (error := task.exception()):
            print("a task broke off:", *traceback.format_exception(error), file=sys.stderr, flush=True)

    def start(work) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        tasks.add(task)

    @room.on("track_subscribed")
    def _(track: rtc.Track, _publication, participant: rtc.RemoteParticipant) -> None:
        tell("subscribed", of=participant.identity, kind="video" if track.kind == rtc.TrackKind.KIND_VIDEO else "audio")
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            start(look(track, participant.identity))
        else:
            start(listen(track, participant.identity))

    @room.on("data_received")
    def _(packet: rtc.DataPacket) -> None:
        tell("data", of=packet.participant.identity if packet.participant else None, text=packet.data.decode())

    @room.on("connection_state_changed")
    def _(state: int) -> None:
        tell("kept", state=rtc.ConnectionState.Name(state))

    @room.on("disconnected")
    def _(reason: int) -> None:
        tell("disconnected", reason=rtc.DisconnectReason.Name(reason))

    options = rtc.RoomOptions(
        single_peer_connection=asked.connections == "one", auto_subscribe=asked.subscribe == "at-once"
    )
    await room.connect(asked.url, asked.token, options)
    tell("joined", identity=room.local_participant.identity, others=list(room.remote_participants))

    if asked.colour:
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        codec = rtc.VideoCodec.H264 if asked.codec == "h264" else rtc.VideoCodec.VP8
        publish = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=codec, simulcast=False)
        await room.local_participant.publish_track(track, publish)
        start(show(source, asked.colour))
        await sent(track)
    if asked.hz:
        source = rtc.AudioSource(RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        await room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        start(sound(source, asked.hz))
    tell("published")

    if asked.subscribe == "after-publishing":
        room.on("track_published", lambda publication, _participant: publication.set_subscribed(True))
        for participant in room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication.set_subscribed(True)

    await commands(room)
    for task in tasks:
        task.cancel()
    await room.disconnect()
    tell("ended")


asyncio.run(main())
