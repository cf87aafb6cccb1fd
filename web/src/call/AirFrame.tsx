/** The frame that says: what is inside it is seen by everyone who watches. It draws itself once. */
import './air.css'

export function AirFrame() {
  return (
    <div class="air-frame" data-testid="on-air">
      <svg aria-hidden="true">
        <rect width="100%" height="100%" rx="21" pathLength="1" />
      </svg>
      <span class="air-label" role="status">
        <span class="chip live">On air</span>
      </span>
    </div>
  )
}
