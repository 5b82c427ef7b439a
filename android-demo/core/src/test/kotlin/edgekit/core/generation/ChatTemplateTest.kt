package edgekit.core.generation

import edgekit.core.EdgeKitException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class ChatTemplateTest {
    private val specials = mapOf("bos_token" to "<s>", "eos_token" to "</s>")
    private val turns = listOf(Turn("system", "Be brief."), Turn("user", " Hello. "))

    private fun rendered(template: String) = ChatTemplate.read(template, specials).render(turns)

    @Test
    fun chatMl() {
        val template = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}" +
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        val wanted = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hello. <|im_end|>\n<|im_start|>assistant\n"
        assertEquals(wanted, rendered(template))
    }

    @Test
    fun namedTokensTrimmingAndLineBreaks() {
        val template = "{{ bos_token }}{%- for message in messages -%}\n  [{{ message.role }}] {{ message.content | trim }}{{ eos_token }}\n" +
            "{%- endfor %}\n{% if add_generation_prompt %}\nA:{% endif %}"
        assertEquals("<s>[system] Be brief.</s>[user] Hello.</s>A:", rendered(template))
    }

    @Test
    fun whatIsMoreThanThatIsRefused() {
        val more = listOf(
            "{% for message in messages %}{% if message['role'] == 'user' %}U{% endif %}{% endfor %}",
            "{% set x = 1 %}{% for message in messages %}{{ message['content'] }}{% endfor %}",
            "{% for message in messages %}{{ message['content'] | upper }}{% endfor %}",
            "{% for message in messages %}{{ message['content'] + loop.index }}{% endfor %}",
            "{% for message in messages[1:] %}{{ message['content'] }}{% endfor %}",
            "{% for message in messages %}{{ message['content'] }}",
            "{{ raise_exception('no') }}",
            "no loop at all",
        )
        for (template in more) {
            val error = assertThrows(template, EdgeKitException.Unsupported::class.java) { rendered(template) }
            assertEquals("unsupported", error.code)
        }
    }
}
