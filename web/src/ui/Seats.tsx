/** The concentric seats: the house seen from the stage. A drawing, nothing to read. */
import './seats.css'

const ROWS = 6
const FIRST_RADIUS = 150
const ROW_STEP = 42
const SEAT_SPACING = 17.5
const CENTRE_X = 400
/** The arcs end a little below the stage's line, in degrees. */
const EDGE_DEG = 7

interface Seat {
  x: number
  y: number
  glow: number
}

/** A fixed scatter in 0..1: the same seats are lit on every visit. */
function scatter(row: number, seat: number): number {
  const value = Math.sin(row * 127.1 + seat * 311.7) * 43758.5453
  return value - Math.floor(value)
}

const SEATS: Seat[] = Array.from({ length: ROWS }, (_, row) => {
  const radius = FIRST_RADIUS + row * ROW_STEP
  const sweep = ((180 - 2 * EDGE_DEG) * Math.PI) / 180
  const seats = Math.round((radius * sweep) / SEAT_SPACING)
  return Array.from({ length: seats + 1 }, (_, seat) => {
    const angle = (EDGE_DEG * Math.PI) / 180 + (sweep * seat) / seats
    const light = scatter(row + 1, seat + 1)
    return {
      x: Math.round(CENTRE_X - radius * Math.cos(angle)),
      y: Math.round(radius * Math.sin(angle)),
      glow: light < 0.36 ? 0 : Math.round((0.3 + light * 0.7) * 100) / 100,
    }
  })
}).flat()

export function Seats() {
  return (
    <svg class="seats" viewBox="0 -4 800 384" aria-hidden="true">
      {SEATS.map(({ x, y, glow }) =>
        glow === 0 ? (
          <circle key={`${x},${y}`} class="dark-seat" cx={x} cy={y} r="4.5" />
        ) : (
          <circle key={`${x},${y}`} class="lit-seat" cx={x} cy={y} r="4.5" opacity={glow} />
        ),
      )}
    </svg>
  )
}
