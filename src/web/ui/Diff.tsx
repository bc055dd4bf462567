/** What differs between two texts, by words. */
import { useQuery } from '@tanstack/react-query'
import './prose.css'

type Props = { before: string; after: string }

/** Texts that have next to nothing in common take long to compare, and nobody reads the result. */
const compare = async ({ before, after }: Props) => (await import('diff')).diffWords(before, after, { timeout: 300 })

/** Deletions and insertions are <del> and <ins>, which screen readers announce. */
export const Diff = (props: Props) => {
  const { data: parts, isSuccess } = useQuery({
    queryKey: ['diff', props.before, props.after],
    queryFn: async () => (await compare(props)) ?? null,
    staleTime: Infinity,
    gcTime: 60_000,
  })
  if (!isSuccess) return null
  if (parts === null) return <p className="soft">The two have too little in common to show what differs.</p>
  return (
    <div className="prose diff" dir="auto">
      {parts.map(({ added, removed, value }, i) => {
        const Tag = added ? 'ins' : removed ? 'del' : 'span'
        return <Tag key={i}>{value}</Tag>
      })}
    </div>
  )
}
