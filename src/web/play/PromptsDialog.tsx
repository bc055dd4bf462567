/** The prompt library: search, take, save what stands in the box, remove. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { NewPrompt, SavedPrompt } from '../../studio/play/api.ts'
import { get, post, request } from '../api.ts'
import { Button, IconButton } from '../ui/Button.tsx'
import { Dialog } from '../ui/Dialog.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Field, Input } from '../ui/Field.tsx'

type Props = {
  open: boolean
  onOpenChange(open: boolean): void
  /** What stands in the box now. */
  current: NewPrompt
  onTake(prompt: SavedPrompt): void
}

export const PromptsDialog = (props: Props) => (
  <Dialog
    open={props.open}
    onOpenChange={props.onOpenChange}
    title="Prompt library"
    lead={
      <>
        Kept in <code>playground-prompts.jsonl</code> in the folder: rows that <code>attune generate</code> reads, too.
      </>
    }
    size="wide"
  >
    <Library {...props} />
  </Dialog>
)

const key = ['play-prompts']

const Library = ({ current, onTake }: Props) => {
  const client = useQueryClient()
  const prompts = useQuery({ queryKey: key, queryFn: () => get<SavedPrompt[]>('/play/prompts'), staleTime: 0 })
  const refresh = () => client.invalidateQueries({ queryKey: key })
  const save = useMutation({ mutationFn: () => post<SavedPrompt>('/play/prompts', current), onSuccess: refresh })
  const remove = useMutation({
    mutationFn: (id: string) => request('DELETE', `/play/prompts/${encodeURIComponent(id)}`),
    onSuccess: refresh,
  })
  const error = prompts.error ?? save.error ?? remove.error
  const [search, setSearch] = useState('')
  const words = search.toLowerCase().split(/\s+/)
  const found = (prompts.data ?? [])
    .filter(({ prompt, system = '', name = '' }) =>
      words.every((word) => `${name}\n${prompt}\n${system}`.toLowerCase().includes(word)),
    )
    .toReversed()
  return (
    <div className="stack choice">
      {current.prompt.trim() && (
        <div className="current">
          <p className="prose plain" dir="auto">
            {current.prompt}
          </p>
          <Button look="primary" disabled={save.isPending || save.isSuccess} onClick={() => save.mutate()}>
            {save.isSuccess ? 'Saved' : 'Save this prompt'}
          </Button>
        </div>
      )}
      {(prompts.data?.length ?? 0) > 0 && (
        <Field label="Search">
          <Input type="search" value={search} onChange={({ target }) => setSearch(target.value)} />
        </Field>
      )}
      {error && <ErrorNote error={error} />}
      {prompts.data?.length === 0 && !current.prompt.trim() && (
        <p className="soft">No prompts yet. Write one in the box of the playground, and save it here.</p>
      )}
      {search && found.length === 0 && <p className="soft">No prompt has these words.</p>}
      <ul className="prompts">
        {found.slice(0, 200).map((saved) => (
          <li key={saved.id}>
            <button type="button" onClick={() => onTake(saved)}>
              <span className="title" dir="auto">
                {saved.name || saved.prompt}
              </span>
              {saved.system && (
                <small className="soft" dir="auto">
                  System: {saved.system}
                </small>
              )}
            </button>
            <IconButton
              label={`Remove the prompt ${saved.prompt.slice(0, 60)}`}
              disabled={remove.isPending}
              onClick={() => remove.mutate(saved.id)}
            >
              <Trash2 size={16} aria-hidden />
            </IconButton>
          </li>
        ))}
      </ul>
      {found.length > 200 && <p className="soft">{found.length - 200} more; search for them.</p>}
    </div>
  )
}
