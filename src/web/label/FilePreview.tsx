/** What a file holds: its first row, and the mode that it suggests. */
import { useQuery } from '@tanstack/react-query'
import type { Mode, FilePreview as Preview } from '../../studio/labels/api.ts'
import { get } from '../api.ts'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import type { Chosen } from './FileChooser.tsx'
import { many } from './words.ts'
import './forms.css'

const sourceOf = (chosen: Chosen) =>
  'file' in chosen ? `file=${encodeURIComponent(chosen.file)}` : `upload=${encodeURIComponent(chosen.upload)}`

export const usePreview = (chosen: Chosen | undefined) =>
  useQuery({
    queryKey: ['preview', chosen && sourceOf(chosen)],
    queryFn: ({ signal }) => get<Preview>(`/files/preview?${sourceOf(chosen!)}`, { signal }),
    enabled: chosen !== undefined && !isTemplate(chosen),
    retry: false,
  })

/** A Label Studio template says how people label, and has no rows. */
export const isTemplate = ({ name }: Chosen) => /\.xml$/i.test(name)

/** One response is judged alone, two make a pair, more are ranked. */
export const proposedMode = ({ responses }: Preview): { mode: Mode; because: string } => {
  if (responses <= 0) return { mode: 'edit', because: 'proposed: the rows hold prompts without responses' }
  if (responses === 1) return { mode: 'good', because: 'proposed: one response in each row' }
  return responses === 2
    ? { mode: 'pair', because: 'proposed: two responses in each row' }
    : { mode: 'rank', because: `proposed: up to ${responses} responses in each row` }
}

export const FirstRow = ({ preview }: { preview: ReturnType<typeof usePreview> }) => {
  if (preview.isError) return <ErrorNote error={preview.error} />
  const first = preview.data?.rows[0]
  if (!first) return null
  const { responses } = first
  return (
    <figure className="first-row">
      <figcaption className="soft">
        The first row: a prompt with {responses.length === 0 ? 'no response' : many(responses.length, 'response')}
      </figcaption>
      <p className="excerpt" dir="auto">
        {first.prompt}
      </p>
      <ol>
        {responses.slice(0, 4).map((text, i) => (
          <li key={i} className="excerpt response" dir="auto">
            {text}
          </li>
        ))}
      </ol>
    </figure>
  )
}
