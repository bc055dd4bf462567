/** Opens an encoder (BERT, RoBERTa, DeBERTa) for the hidden states of texts. */
import type { Tokenizer } from '../text/tokenizer.ts'
import { hiddenStates } from './hiddenStates.ts'
import type { Model } from './model.ts'
import { type OpenModelOptions, openModel } from './open.node.ts'

export type OpenedEncoder = {
  model: Model
  /** Undefined where the folder has none: such an encoder works with token ids alone. */
  tokenizer?: Tokenizer
  dir: string
  /** Blocks of the encoder: the highest `layer`. */
  layers: number
  hiddenSize: number
  /**
   * Of each text its hidden states after so many blocks (all by default; 0: the embeddings), [tokens, hiddenSize] flat. Texts of
   * similar lengths share a pass. Faults: 'too-long', 'bad-row'.
   */
  hidden(ids: readonly ArrayLike<number>[], layer?: number): Promise<Float32Array[]>
  /** Ends the engine. */
  close(): Promise<void>
}

/**
 * Faults: those of `openModel`; 'no-encoder' for a model that is none.
 *
 * Example: `const encoder = await openEncoder({ model: 'roberta-base' }); await encoder.hidden([[0, 31414, 2]], 10)`
 */
export const openEncoder = async (
  options: Omit<OpenModelOptions, 'head' | 'adapter' | 'quantize'>,
): Promise<OpenedEncoder> => {
  const { model, tokenizer, dir, close } = await openModel({ ...options, head: 'encoder' })
  return {
    model,
    tokenizer,
    dir,
    layers: model.config.num_hidden_layers,
    hiddenSize: model.config.hidden_size,
    hidden: (texts, layer) =>
      hiddenStates(
        model,
        texts.map((ids) => ({ ids })),
        layer,
      ),
    close,
  }
}
