import { expect, test } from 'vitest'
import { readThumbnails, thumbnailAt } from '../src/watch/thumbnails'

const BASE = 'https://amphi.example/hls/hall/thumbnails.m3u8'
const PLAYLIST = `#EXTM3U
#EXT-X-VERSION:8
#EXT-X-TARGETDURATION:10
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-IMAGES-ONLY
#EXT-X-PROGRAM-DATE-TIME:2026-05-01T19:30:00.250Z
#EXTINF:10.00000,
#EXT-X-TILES:RESOLUTION=256x144,LAYOUT=1x1,DURATION=10.00000
i17-4.jpg
#EXT-X-PROGRAM-DATE-TIME:2026-05-01T19:30:10.000Z
#EXT-X-GAP
#EXTINF:10.00000,
i17-5.jpg
#EXT-X-PROGRAM-DATE-TIME:2026-05-01T19:30:22.000Z
#EXTINF:10.00000,
#EXT-X-TILES:RESOLUTION=144x256,LAYOUT=1x1,DURATION=10.00000
i17-6.jpg
#EXT-X-ENDLIST
`

const at = (seconds: number) => Date.UTC(2026, 4, 1, 19, 30, 0, seconds * 1000)

test('the thumbnail of a moment is the last one at or before it', () => {
  const list = readThumbnails(PLAYLIST, BASE)
  const name = (seconds: number) => thumbnailAt(list, at(seconds))?.url.split('/').pop() ?? null
  expect(list.every_ms).toBe(10_000)
  expect(name(0.249)).toBeNull()
  expect(name(0.25)).toBe('i17-4.jpg')
  expect(name(9.9)).toBe('i17-4.jpg')
  // A gap.
  expect(name(10)).toBeNull()
  expect(name(21.9)).toBeNull()
  expect(name(22)).toBe('i17-6.jpg')
  expect(name(41.9)).toBe('i17-6.jpg')
  // So long ago that it says nothing of it.
  expect(name(42)).toBeNull()
  expect(thumbnailAt(list, at(23))).toEqual({ at: at(22), url: 'https://amphi.example/hls/hall/i17-6.jpg', width: 144, height: 256 })
})

test('what is no list of thumbnails has none', () => {
  for (const text of ['', '#EXTM3U\n', 'i17-4.jpg', '#EXT-X-PROGRAM-DATE-TIME:soon\ni17-4.jpg', '#EXT-X-TARGETDURATION:0\n<html>', ':::\n::']) {
    const list = readThumbnails(text, BASE)
    expect(thumbnailAt(list, Date.now()), text).toBeNull()
    expect(list.every_ms).toBe(10_000)
  }
})
