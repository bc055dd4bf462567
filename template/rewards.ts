/** The rewards of completions, one number each: 1 for one sentence of at most twelve words, less for anything else. */
type Row = { completion: string }

const reward = ({ completion }: Row): number => {
  const text = completion.trim()
  const words = text.split(/\s+/).length
  const isSentence = /^[^.!?]+[.!?]$/.test(text)
  return (isSentence ? 0.5 : 0) + 0.5 / (1 + Math.max(0, words - 12))
}

export default (rows: Row[]): number[] => rows.map(reward)
