import { expect, test } from 'vitest'
import { allowedSources, changeInWords, changeOf, refusal } from '../src/call/permissions'

const all = allowedSources({ canPublish: true, canPublishSources: [] })

test('an empty list of sources means every source, and no canPublish means none', () => {
  expect([...all]).toEqual(['camera', 'microphone', 'screen_share', 'screen_share_audio'])
  expect(allowedSources({ canPublish: false, canPublishSources: [1, 2] }).size).toBe(0)
  expect([...allowedSources({ canPublish: true, canPublishSources: [2] })]).toEqual(['microphone'])
})

test('taking the camera leaves the rest', () => {
  expect(changeOf(all, 'camera', false)).toEqual({ canPublish: true, canPublishSources: ['microphone', 'screen_share', 'screen_share_audio'] })
})

test('taking the last source is not an empty list, which would allow everything', () => {
  expect(changeOf(new Set(['camera']), 'camera', false)).toEqual({ canPublish: false })
})

test('giving back the last missing source lifts the list', () => {
  expect(changeOf(allowedSources({ canPublish: true, canPublishSources: [2, 3, 4] }), 'camera', true)).toEqual({ canPublish: true, canPublishSources: null })
})

test('a lost and a won right are both said', () => {
  expect(changeInWords(all, new Set(['microphone', 'screen_share', 'screen_share_audio']))).toBe('You may no longer use a camera here.')
  expect(changeInWords(new Set(), new Set(['microphone', 'camera']))).toBe('You may now use a camera and speak.')
  expect(changeInWords(all, all)).toBeNull()
})

test('a refusal names what is refused and the grant it needs', () => {
  expect(refusal(['camera'])).toBe('You may not use a camera here (needs: canPublish with camera).')
  expect(refusal(['microphone', 'camera'])).toBe('You may not speak or use a camera here (needs: canPublish with microphone and camera).')
})
