/** How a run stands, in a word. */
import type { RunRow } from '../../studio/runs/api.ts'
import { Badge, type Tone } from '../ui/Card.tsx'

const tones: Record<RunRow['state'], Tone> = {
  running: 'accent',
  done: 'plain',
  stopped: 'warn',
  'broken off': 'warn',
  failed: 'bad',
}

export const StateBadge = ({ row }: { row: RunRow }) => (
  <Badge tone={tones[row.state]}>{row.reading ? 'being read' : row.state}</Badge>
)
