import { expect, test } from 'vitest'
import { forNative } from '../src/watch/native'

test('a browser that plays by itself says so, whatever else it says', () => {
  expect(forNative('/hls/hall/index.m3u8')).toBe('/hls/hall/index.m3u8?native')
  expect(forNative('/hls/hall/index.m3u8?v=stage')).toBe('/hls/hall/index.m3u8?v=stage&native')
})
