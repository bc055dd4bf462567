/** The tags of a run, and a field that adds one. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Plus, X } from 'lucide-react'
import { useState } from 'react'
import type { RunPage, TagsBody } from '../../studio/runs/api.ts'
import { request } from '../api.ts'
import { IconButton } from '../ui/Button.tsx'
import { Input } from '../ui/Field.tsx'
import { useToast } from '../ui/Toasts.tsx'
import { runApi } from './address.ts'

export const Tags = ({ name, tags, editable }: { name: string; tags: readonly string[]; editable: boolean }) => {
  const client = useQueryClient()
  const show = useToast()
  const [typed, setTyped] = useState<string>()
  const save = useMutation({
    mutationFn: (next: string[]) => request('PUT', runApi(name, '/tags'), { tags: next } satisfies TagsBody),
    onMutate: (next) => {
      client.setQueryData<RunPage>(['run', name], (page) => page && { ...page, row: { ...page.row, tags: next } })
    },
    onError: (error) => show({ text: error.message, look: 'error' }),
    onSettled: () => client.invalidateQueries({ queryKey: ['run', name] }),
  })
  const add = () => {
    const tag = typed?.trim()
    if (tag) save.mutate([...new Set([...tags, tag])])
    setTyped(undefined)
  }
  return (
    <ul className="tags" aria-label="Tags">
      {tags.map((tag) => (
        <li key={tag} className="badge plain">
          <bdi>{tag}</bdi>
          {editable && (
            <button
              type="button"
              aria-label={`Remove the tag ${tag}`}
              onClick={() => save.mutate(tags.filter((other) => other !== tag))}
            >
              <X size={12} aria-hidden />
            </button>
          )}
        </li>
      ))}
      {editable && (
        <li>
          {typed === undefined ? (
            <IconButton label="Add a tag" onClick={() => setTyped('')}>
              <Plus size={14} aria-hidden />
            </IconButton>
          ) : (
            <form
              onSubmit={(event) => {
                event.preventDefault()
                add()
              }}
            >
              <Input
                autoFocus
                aria-label="New tag"
                placeholder="tag, then Enter"
                maxLength={40}
                value={typed}
                onChange={({ target }) => setTyped(target.value)}
                onBlur={add}
                onKeyDown={({ key }) => key === 'Escape' && setTyped(undefined)}
              />
            </form>
          )}
        </li>
      )}
    </ul>
  )
}
