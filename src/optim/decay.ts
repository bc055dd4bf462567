/** Which parameters weight decay applies to: all but norms and biases (transformers' rule, by checkpoint names). */

/**
 * A norm or a bias: `input_layernorm.weight`, `model.norm.weight`, `q_norm.weight`, `LayerNorm.weight`, `.bias`,
 * `q_bias`, and GPT-2's `ln_1.weight` and `ln_f.weight`, which transformers knows by their class.
 */
const exempt = /bias|layernorm|rmsnorm|(^|\.|_)norm($|\.)|(^|\.)ln_\w+($|\.)/i

export const decays = (parameter: string): boolean => !exempt.test(parameter)
