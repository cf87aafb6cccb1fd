/** The icons: one 24-unit drawing each, drawn with the colour of the text beside them. */
import './icon.css'

const SHAPES = {
  microphone: <path d="M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v4" />,
  microphoneOff: <path d="M9 6a3 3 0 0 1 6 0v5M9 10v1a3 3 0 0 0 4 2.8M6 11a6 6 0 0 0 9 5.2M18 11a6 6 0 0 1-.6 2.6M12 17v4M3 3l18 18" />,
  camera: <><rect x="3" y="6" width="12" height="12" rx="2.500" /><path d="m15 11 6-4v10l-6-4" /></>,
  cameraOff: <path d="M8 6h4.500A2.500 2.500 0 0 1 15 8.500V11l6-4v10l-3-2M15 15.500a2.500 2.500 0 0 1-2.500 2.500h-7A2.500 2.500 0 0 1 3 15.500v-7C3 7.700 3.400 7 4 6.500M3 3l18 18" />,
  screen: <><rect x="3" y="4" width="18" height="12" rx="2" /><path d="M8 20h8M12 16v4M12 7v6M9.500 9.500 12 7l2.500 2.500" /></>,
  people: <><circle cx="9" cy="8" r="3.200" /><path d="M3 19c.5-3.500 3-5 6-5s5.500 1.500 6 5M16 5.200a3 3 0 0 1 0 5.600M18 14.500c1.800.7 2.800 2.200 3 4.500" /></>,
  leave: <path d="M3 14c0-2 4-4.500 9-4.500s9 2.500 9 4.500v2l-4.500-1v-2.200a14 14 0 0 0-9 0V15L3 16Z" />,
  eye: <><path d="M2 12s4-6.500 10-6.500S22 12 22 12s-4 6.500-10 6.500S2 12 2 12Z" /><circle cx="12" cy="12" r="2.800" /></>,
  record: <><circle cx="12" cy="12" r="8" /><circle cx="12" cy="12" r="3" fill="currentColor" /></>,
  volume: <path d="M4 10v4h4l5 4V6L8 10ZM16.500 9a4 4 0 0 1 0 6M19 6.500a8 8 0 0 1 0 11" />,
  volumeOff: <path d="M4 10v4h4l5 4V6L8 10ZM17 9.500l5 5M22 9.500l-5 5" />,
  settings: <><circle cx="12" cy="12" r="3" /><path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.600 5.600l2.100 2.100M16.300 16.300l2.100 2.100M5.600 18.400l2.100-2.100M16.300 7.700l2.100-2.100" /></>,
  play: <path d="M8 5v14l11-7Z" />,
  pause: <path d="M8 5v14M16 5v14" />,
  theatre: <><rect x="3" y="6" width="18" height="12" rx="2" /><path d="M15 6v12" /></>,
  fullscreen: <path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5" />,
  pip: <><rect x="3" y="5" width="18" height="14" rx="2" /><rect x="12" y="12" width="7" height="5" rx="1" fill="currentColor" /></>,
  sun: <><circle cx="12" cy="12" r="4" /><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600 7 7M17 17l1.400 1.400M5.600 18.400 7 17M17 7l1.400-1.400" /></>,
  moon: <path d="M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500Z" />,
  close: <path d="m6 6 12 12M18 6 6 18" />,
  captions: <><rect x="3" y="5" width="18" height="14" rx="2" /><path d="M10.500 10.300a2 2 0 1 0 0 3.400M17 10.300a2 2 0 1 0 0 3.400" /></>,
  clip: <><circle cx="6" cy="6" r="3" /><circle cx="6" cy="18" r="3" /><path d="M20 4 8.100 15.900M14.500 14.500 20 20M8.100 8.100 12 12" /></>,
  link: <path d="M10 14a4 4 0 0 0 5.700 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.700 0l-3 3A4 4 0 0 0 11 18.700l1-1" />,
  download: <path d="M12 4v11M8 11l4 4 4-4M5 19h14" />,
  left: <path d="m15 5-7 7 7 7" />,
  right: <path d="m9 5 7 7-7 7" />,
  more: <><circle cx="5" cy="12" r="1" /><circle cx="12" cy="12" r="1" /><circle cx="19" cy="12" r="1" /></>,
  share: <path d="M12 15V4M8 8l4-4 4 4M5 13v5a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-5" />,
  flag: <path d="M6 21V4c4-2 8 2 12 0v9c-4 2-8-2-12 0" />,
  keyboard: <><rect x="2.500" y="6" width="19" height="12" rx="2" /><path d="M6.500 10h.01M10 10h.01M13.500 10h.01M17 10h.01M8 14h8" /></>,
} as const

export type IconName = keyof typeof SHAPES

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      {SHAPES[name]}
    </svg>
  )
}
